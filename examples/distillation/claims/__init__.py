"""From results to verdicts: numbers with their uncertainty, the paper's claims and our own questions."""
