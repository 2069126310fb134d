"""What one chip can do: dense peaks, memory, bandwidth and link, each a vendor's figure.

Sources: NVIDIA's datasheets of each product, halved where they print 2:1 sparsity (float32, float16 and bfloat16 of T4,
V100, A100, L4, H100, H200, B200 as repeated by Lightning's fabric/utilities/throughput.py and torchtitan's
tools/utils.py); Google's Cloud TPU pages for v4, v5e, v5p and v6e.
"""

from typing import NamedTuple

T, G = 1e12, 1e9


class Chip(NamedTuple):
    """A product.

    Attributes:
        label: the value of GKE's label ``gke-accelerator`` or ``gke-tpu-accelerator``.
        memory_gib: memory of one chip.
        bandwidth: its bytes/s.
        link: bytes/s to the other chips of the machine, both directions together.
        peak: FLOP/s by number format.
        usd: on-demand and spot price of one chip, USD an hour, for GPUs without the machine and for TPUs with it.
        region: of these prices.
    """

    label: str
    memory_gib: float
    bandwidth: float
    link: float
    peak: dict[str, float]
    usd: tuple[float | None, float | None]
    region: str = "us-central1"


def _gpu(float32: float, tf32: float = 0, bfloat16: float = 0, float16: float = 0) -> dict[str, float]:
    """Peaks in TFLOP/s; 0 without units for a format."""
    peaks = {"float32": float32, "tf32": tf32, "mixed_bfloat16": bfloat16, "mixed_float16": float16}
    return {name: value * T for name, value in peaks.items() if value}


def _tpu(bfloat16: float) -> dict[str, float]:
    # float32 products are one bfloat16 pass by default; the vector unit's own float32 rate is not published.
    return {"float32": bfloat16 * T, "mixed_bfloat16": bfloat16 * T}


PCIE3, PCIE4, PCIE5 = 32 * G, 64 * G, 128 * G
GPUS: dict[str, Chip] = {
    "p4": Chip("nvidia-tesla-p4", 8, 192 * G, PCIE3, _gpu(5.5), (0.60, None)),
    "p100": Chip("nvidia-tesla-p100", 16, 732 * G, PCIE3, _gpu(9.3, float16=18.7), (1.46, 0.7229)),
    "t4": Chip("nvidia-tesla-t4", 16, 320 * G, PCIE3, _gpu(8.1, float16=65), (0.35, 0.1915)),
    "v100": Chip("nvidia-tesla-v100", 16, 900 * G, 300 * G, _gpu(15.7, float16=125), (2.48, 1.2338)),
    "l4": Chip("nvidia-l4", 24, 300 * G, PCIE4, _gpu(30.3, 60, 121, 121), (0.56004, 0.2862)),
    "a100-40g": Chip("nvidia-tesla-a100", 40, 1555 * G, 600 * G, _gpu(19.5, 156, 312, 312), (2.93391, 1.5399)),
    "a100-80g": Chip("nvidia-a100-80gb", 80, 2039 * G, 600 * G, _gpu(19.5, 156, 312, 312), (3.969, 2.1604)),
    "h100": Chip("nvidia-h100-80gb", 80, 3350 * G, 900 * G, _gpu(67, 494, 989, 989), (9.79655, 5.3387)),
    "h100-mega": Chip("nvidia-h100-mega-80gb", 80, 3350 * G, 900 * G, _gpu(67, 494, 989, 989), (10.34428, 5.6299)),
    "h200": Chip("nvidia-h200-141gb", 141, 4800 * G, 900 * G, _gpu(67, 494, 989, 989), (9.31174, 5.1215)),
    "b200": Chip("nvidia-b200", 180, 8000 * G, 1800 * G, _gpu(80, 1100, 2250, 2250), (11.277, 4.7183)),
    # Its dense tensor peaks were not found in a source: float32 alone. The price is g4-standard-48's 4.5001
    # (dstackai/dstack#3213, 2025-10-22) less the machine's.
    "rtx-pro-6000": Chip("nvidia-rtx-pro-6000", 96, 1597 * G, PCIE5, _gpu(117), (1.0958, None)),
}
TPUS: dict[str, Chip] = {
    "v4": Chip("tpu-v4-podslice", 32, 1228 * G, 300 * G, _tpu(275), (3.22, 0.9215), "us-central2"),
    "v5e": Chip("tpu-v5-lite-podslice", 16, 819 * G, 400 * G, _tpu(197), (1.20, 0.29771)),
    "v5p": Chip("tpu-v5p-slice", 95, 2765 * G, 1200 * G, _tpu(459), (4.20, 0.7805)),
    "v6e": Chip("tpu-v6e-slice", 32, 1640 * G, 800 * G, _tpu(918), (2.70, 0.59266)),
}
# A vCPU is one thread of a core with two 256-bit fused multiply-adds at about 2.5 GHz (an E2 machine may be any of
# Broadwell, Skylake or Rome), and gets its share of a socket's memory channels. Estimates: measure with --calibrate.
VCPU_FLOPS, VCPU_BANDWIDTH = 40 * G, 3 * G
