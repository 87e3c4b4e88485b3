"""Docker labels by which other programs find what was declared."""

ROLE = "markitup.role"
PROXY = "proxy"
