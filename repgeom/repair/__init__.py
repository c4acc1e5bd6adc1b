"""What can be done to features that are saved already? Three repairs, fitted on some rows and judged on others."""

from repgeom.repair.made import remove_top, standardize, whiten
from repgeom.repair.proof import RepairProof, compare_repairs

__all__ = ["RepairProof", "compare_repairs", "remove_top", "standardize", "whiten"]
