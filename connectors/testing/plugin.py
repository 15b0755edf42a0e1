"""The pytest plugin that the package registers, so that the contract suite works outside this repository."""
