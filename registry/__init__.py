"""The domain in pure Python: plans, customers, cells, placement, edits and diffs. Imports no SDK."""
