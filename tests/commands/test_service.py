"""service: the definitions for systemd and launchd, and where they go."""

import plistlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from connectors.base import service
from connectors.base.errors import ConfigError, ConnectorError
from connectors.base.home import Home
from tests.commands.program import connectors, done, new_home
from tests.helpers import requires


@pytest.fixture(params=["plain", "with space", "per%cent", 'quo"te', "dol$lar", "back\\slash", "ü"])
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A home whose path needs care."""
    home = tmp_path / request.param
    home.mkdir()
    return new_home(home)


@pytest.mark.parametrize("system", [[], ["--system"]])
def test_the_unit_is_one_that_systemd_accepts(odd: Path, tmp_path: Path, system: list[str]) -> None:
    unit = tmp_path / "mailbox-connectors.service"
    unit.write_text(done("service", "print", "--for", "systemd", *system, home=odd))

    checked = subprocess.run(
        [requires("systemd-analyze"), "verify", "--man=no", unit], capture_output=True, encoding="utf-8", check=False
    )

    ours = [line for line in checked.stderr.splitlines() if unit.name in line]
    assert (checked.returncode, ours) == (0, [])


def test_the_unit_says_how_the_manager_is_to_be_run(box: Path) -> None:
    text = done("service", "print", "--for", "systemd", "--system", "--user", "ada", home=box)

    lines = text.splitlines()
    for line in (
        "Type=notify",
        "WatchdogSec=60",
        "Restart=on-failure",
        "RestartPreventExitStatus=78",
        "KillMode=mixed",
        "UMask=0077",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "PrivateTmp=yes",
        "User=ada",
        f"ReadWritePaths={box} -/run/lock",
        f"WorkingDirectory={box}",
        "WantedBy=multi-user.target",
    ):
        assert line in lines
    assert any(line.startswith("ExecStart=") and line.endswith(f" run --seed-home {box}") for line in lines)


def test_a_users_own_unit_needs_no_namespaces(box: Path) -> None:
    text = done("service", "print", "--for", "systemd", home=box)

    assert "User=" not in text
    assert "Protect" not in text
    assert "WantedBy=default.target" in text


def test_with_a_group_folders_may_be_setgid(box: Path) -> None:
    assert "RestrictSUIDSGID" in done("service", "print", "--for", "systemd", home=box)
    (box / "connectors.yml").write_text("group: 0\nconnectors: []\n")
    assert "RestrictSUIDSGID" not in done("service", "print", "--for", "systemd", home=box)


def test_the_property_list_holds_the_path_as_it_is(odd: Path) -> None:
    data = plistlib.loads(done("service", "print", "--for", "launchd", home=odd).encode())

    assert data["ProgramArguments"][-2:] == ["--seed-home", str(odd)]
    assert data["WorkingDirectory"] == str(odd)
    assert data["KeepAlive"] == {"SuccessfulExit": False}
    assert data["Umask"] == 0o077


def test_print_writes_nothing(box: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))

    done("service", "print", home=box, env={"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")})

    assert sorted(tmp_path.rglob("*")) == before


def test_install_without_start_and_uninstall(box: Path, tmp_path: Path) -> None:
    env = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    unit = tmp_path / "config/systemd/user/my-box.service"

    text = done("service", "install", "--no-start", "--name", "my-box", home=box, env=env)

    assert f"wrote {unit}" in text
    assert "start it: systemctl --user enable --now my-box.service" in text
    assert unit.read_text() == done("service", "print", "--name", "my-box", home=box, env=env)
    assert connectors("service", "uninstall", home=box, env=env).returncode == 78
    assert connectors("service", "uninstall", "--name", "my-box", home=box, env=env).returncode == 0
    assert not unit.exists()


def test_the_service_of_another_home_is_left_alone(box: Path, tmp_path: Path) -> None:
    env = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    other = tmp_path / "other"
    other.mkdir()
    new_home(other)
    done("service", "install", "--no-start", home=other, env=env)

    for verb in (("install", "--no-start"), ("uninstall",)):
        result = connectors("service", *verb, home=box, env=env)
        assert result.returncode == 78
        assert "is the service of another home" in result.stderr
    assert connectors("service", "install", "--no-start", home=other, env=env).returncode == 0


def test_install_starts_it_and_uninstall_stops_it_first(
    box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    plan = service.plan(Home(box), "box", kind="systemd", system=False, user=None, group=None)
    ran: list[Sequence[str]] = []
    if shutil.which("systemctl") is None:
        with pytest.raises(ConfigError, match="service print"):
            service.install(plan, start=True, run=ran.append)
        return

    service.install(plan, start=True, run=ran.append)
    assert plan.path.exists()
    service.uninstall(plan, run=ran.append)

    assert [" ".join(command[2:]) for command in ran] == [
        "daemon-reload",
        "enable --now box.service",
        "disable --now box.service",
        "daemon-reload",
    ]


def test_uninstall_goes_on_when_systemd_complains(box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    plan = service.plan(Home(box), "box", kind="systemd", system=False, user=None, group=None)
    service.install(plan, start=False)

    def refuse(command: Sequence[str]) -> None:
        raise ConnectorError("no bus")

    assert service.uninstall(plan, run=refuse) == ["no bus", "no bus"]
    assert not plan.path.exists()


@pytest.mark.parametrize("name", ["../evil", "a b", ""])
def test_a_service_name_that_is_no_file_name_is_refused(box: Path, name: str) -> None:
    assert connectors("service", "print", "--name", name, home=box).returncode == 78


def test_a_home_with_a_line_break_in_its_path_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "a\nb"
    home.mkdir()
    (home / "connectors.yml").write_text("connectors: []\n")

    assert connectors("service", "print", home=home).returncode == 78
