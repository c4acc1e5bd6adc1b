"""The one loop over rows, and what adds up in it."""
