"""GitHub: issues, pull requests and comments of repositories, polled and pushed; comments and actions out."""
