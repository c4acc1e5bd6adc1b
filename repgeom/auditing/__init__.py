"""From rows to a verdict: what is read of them, which rules it is held against, and the report."""
