"""How long the picture loss takes: L1 + SSIM + alpha with its gradient.

    python -m benchmarks.losses [--threads 2] [--quick] [--json FILE]

Columns: the fused sweep; the same in torch with the window split into a row and a column; the same with the 11 × 11
window as most published code has it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.command import parser, report
from benchmarks.timing import Row, interleaved, on_threads, ratio
from perse.losses import PictureLossConfig, picture_loss
from perse.losses.constants import SSIM_C1, SSIM_C2, SSIM_RADIUS_PX
from perse.losses.images import l1, ssim, ssim_window

CONFIG = PictureLossConfig(l1=0.8, ssim=0.2, alpha=0.2)


def square_window_ssim(image: Tensor, target: Tensor) -> Tensor:
    """Mean SSIM of [h, w, 3] with the window as one two-dimensional kernel."""
    line = ssim_window(image)
    window = torch.outer(line, line).expand(3, 1, -1, -1)

    def blurred(planes: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(planes, window, padding=SSIM_RADIUS_PX, groups=3)

    x, y = image.movedim(-1, 0)[None], target.movedim(-1, 0)[None]
    mean_x, mean_y = blurred(x), blurred(y)
    variance_x, variance_y = blurred(x * x) - mean_x**2, blurred(y * y) - mean_y**2
    covariance = blurred(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + SSIM_C1) / (mean_x**2 + mean_y**2 + SSIM_C1)
    return (luminance * (2 * covariance + SSIM_C2) / (variance_x + variance_y + SSIM_C2)).mean()


def contenders(size_px: int, frames: int, threads: int) -> dict[str, Callable[[], object]]:
    """Loss and gradient of some frames."""
    generator = torch.Generator().manual_seed(0)
    image, target = torch.rand(2, frames, size_px, size_px, 3, generator=generator)
    alpha, target_alpha = torch.rand(2, frames, size_px, size_px, generator=generator)
    leaves = [image.requires_grad_(), alpha.requires_grad_()]
    bytes_, alpha_bytes = (target * 255).to(torch.uint8), (target_alpha * 255).to(torch.uint8)

    def fused(number: int) -> Callable[[], None]:
        def run() -> None:
            loss = picture_loss(image, alpha, bytes_, alpha_bytes, config=CONFIG, threads=number)
            torch.autograd.grad(loss.total, leaves)

        return run

    def plain(similarity: Callable[[Tensor, Tensor], Tensor]) -> Callable[[], None]:
        def run() -> None:
            total = image.new_zeros(())
            for f in range(frames):
                total = (
                    total + CONFIG.l1 * l1(image[f], target[f]) + CONFIG.ssim * (1 - similarity(image[f], target[f]))
                )
                total = total + CONFIG.alpha * l1(alpha[f, ..., None], target_alpha[f, ..., None])
            torch.autograd.grad(total, leaves)

        return run

    return {
        **{f"fused, {on_threads(number)}": fused(number) for number in {1: 0, threads: 0}},
        "torch, separable window": plain(ssim),
        "torch, 11 × 11": plain(square_window_ssim),
    }


def main() -> None:
    options = parser(
        __doc__, quick="small pictures, few rounds", threads="threads of torch and of our kernels, beside one"
    )
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    cases = ((128, 1), (256, 4)) if arguments.quick else ((128, 1), (256, 1), (256, 4), (512, 1), (1024, 1))
    rows = []
    for size_px, frames in cases:
        times = interleaved(contenders(size_px, frames, arguments.threads), seconds=1.0)
        most = f"fused, {on_threads(arguments.threads)}"
        others = {
            "scaling": ratio(times, f"fused, {on_threads(1)}", most) if arguments.threads > 1 else None,
            "faster than 11 × 11": ratio(times, "torch, 11 × 11", most),
        }
        found = {name: value for name, value in others.items() if value is not None}
        rows.append(Row("L1 + SSIM + alpha, both ways", f"{frames} × {size_px}² RGB", times, found))
    report(rows, arguments.json)


if __name__ == "__main__":
    main()
