"""Docker labels by which other programs find what was declared."""

ROLE = "markitup.role"
PROXY = "proxy"
DATABASE = "database"
DATABASE_BACKUP = "database-backup"
WEB = "web"
WORKER = "worker"
