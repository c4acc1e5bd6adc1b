"""How sure is a number? Values of the population, intervals and tests."""
