"""What a dump of 10⁹ rows would cost on a cluster, on paper: from rates measured here and published ones."""

from __future__ import annotations

from benchmarks.page import Row

ROWS, WIDTH = 10**9, 1_024
MACHINES, GPUS = 8, 8  # GPUs in each machine
# Assumed, not measured: NVIDIA's data sheet of the H100 SXM (dense), and a disk and a network as clusters have them.
FLOAT64, BFLOAT16 = 67e12, 989e12  # FLOP/s on the matrix units
DISK = 2e9  # bytes/s of each machine
NETWORK = 100e9 / 8  # bytes/s of each machine


def paragraph(rates: Row) -> str:
    """`rates`: "flops" of a float32 product, "bytes" read per second, seconds of an "eigvalsh" of 1,024, all on this CPU."""
    flop, size, matrix = 2 * ROWS * WIDTH**2, 4 * ROWS * WIDTH, 8 * WIDTH**2
    cpu, reading = flop / rates["flops"] / MACHINES, size / DISK / MACHINES
    exact, half = (flop / rate / MACHINES / GPUS for rate in (FLOAT64, BFLOAT16))
    # A ring sends almost twice the matrix through every machine; the GPUs of a machine add up among themselves first.
    reduce = 2 * matrix * (MACHINES - 1) / MACHINES / NETWORK
    total = max(reading, exact) + reduce + rates["eigvalsh"]
    return f"""
## 10⁹ x 1,024 on 8 machines with 8 GPUs each, on paper

Not run. **Measured** here: a float32 product at {rates["flops"] / 1e9:,.0f} GFLOP/s on the CPU, a file read at {rates["bytes"] / 1e9:.1f} GB/s (from the
page cache), `eigvalsh` of 1,024 in {rates["eigvalsh"]:.2f} s. **Assumed**: H100 SXM at its data sheet's {FLOAT64 / 1e12:.0f} TFLOP/s in float64 and
{BFLOAT16 / 1e12:.0f} in bfloat16, dense; {DISK / 1e9:.0f} GB/s of disk and 100 Gbit/s of network for each machine.

| what | seconds |
| --- | ---: |
| reading {size / 1e12:.1f} TB once, {DISK / 1e9:.0f} GB/s on each of {MACHINES} machines (assumed) | {reading:,.0f} |
| products, {flop:.1e} FLOP, on {MACHINES * GPUS} GPUs in float64 (assumed rate) | {exact:.2f} |
| products on them from half-precision features in bfloat16 (assumed rate) | {half:.3f} |
| products without GPUs, on {MACHINES} machines like this one in float32 (measured rate) | {cpu:,.0f} |
| `all_reduce` of a {WIDTH:,} x {WIDTH:,} float64 matrix, {matrix / 1e6:.1f} MB (assumed network) | {reduce:.4f} |
| one `eigvalsh` of it (measured) | {rates["eigvalsh"]:.2f} |

With reading and products overlapping, {total:,.0f} s with GPUs and {max(reading, cpu) + reduce + rates["eigvalsh"]:,.0f} s without: with GPUs the disks set the time, and
GPUs reach their data sheet's rate at best. Each process holds {matrix / 1e6:.1f} MB of sums.
"""
