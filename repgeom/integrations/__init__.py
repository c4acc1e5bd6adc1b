"""Thin adapters for hosts that train and measure: each module needs its host, and `import repgeom` loads none.

* `repgeom.integrations.torchmetrics.SpectralMetric`: a spectral measure as a `torchmetrics.Metric`.
* `repgeom.integrations.lightning.MonitorCallback`: a monitor in a Lightning `Trainer`.
* `repgeom.integrations.huggingface.MonitorCallback`: a monitor in a Hugging Face `Trainer`.
"""
