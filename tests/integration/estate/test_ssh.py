"""The second cell is reached as a server is: by ssh."""

from __future__ import annotations

from tests.integration.estate.estate import SSH_CELL, Estate


def test_cell_is_declared_through_ssh(estate: Estate) -> None:
    """An update of the cell logs in to the server, shares few connections, and its customers answer."""
    assert estate.settings.cells[SSH_CELL].docker_host == estate.ssh.docker_host
    assert 1 <= estate.ssh.logins() < 40
    assert estate.site("dogwood").is_healthy()
