"""`python -m repgeom.measures` prints every measure of an audit, with its formula and source."""

from repgeom.measures.measure import catalogue

if __name__ == "__main__":
    print(catalogue())
