"""Wen & Jacot's experiments with MNIST: classification, where kept singular values gather; the autoencoder of zeros."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.papers.figure import Agreement, Findings, PaperFigure, Run
from benchmarks.papers.kept import by_degree, gathering, kept, middle
from benchmarks.papers.kept_pictures import cost_of, layers_picture, plot_counts, plot_gathering
from benchmarks.papers.scenes import rings
from lineardyn import geometric_shapes, load_mnist
from lineardyn.data import resize
from lineardyn.plots import plot_images
from proofs_check.cbn import CyclicCNN, pooling_eigenvalues
from proofs_check.report.section import Picture

if TYPE_CHECKING:
    from benchmarks.papers.decayed import Decayed

__all__ = ["PAPER_COUNTS", "W1", "W2", "differing", "gathered", "shifted_shapes"]

Floats = NDArray[np.float64]

PAPER_COUNTS = (3, 4, 1)
"""Kept frequencies of degree 0, 1, 2 in the autoencoder of zeros."""
NEAR = (0.8, 1.25)
"""Within which four fifths of the kept ``|m_ω| s`` have to lie."""
SPARSE = 0.25
"""How many may lie between ¼ and ¾, for each that is kept."""
WHY_NOT = (
    " Theory bounds the distance to 1/|m_ω| summed over all layers, not that of one: at few layers it allows what is "
    "seen; more layers, trained for longer, come nearer."
)
SEED = 0


@dataclass(frozen=True)
class Setting:
    """All of one training (of zeros: one for each λ). λ is that of ``C + λ ‖θ‖²``, operator convention."""

    size: int
    channels: int
    depth: int
    n_train: int
    n_held: int
    n_steps: int
    batch_size: int
    decays: tuple[float, ...]
    learning_rate: float
    strength: float = 0.0
    digits: tuple[int, ...] = tuple(range(10))

    def recipe(self, weight_decay: float) -> Decayed:
        """For the training."""
        from benchmarks.papers.decayed import Decayed

        return Decayed(weight_decay, self.learning_rate, self.batch_size, self.n_steps)

    def told(self, pooling: str) -> str:
        """What both share, in words."""
        decays = ", ".join(f"{d:g}" for d in self.decays)
        return (
            f"{self.size} × {self.size} pixels (area averages), {self.n_train:,} images; {self.depth} circular layers "
            f"of {self.channels} channels with filters of full size, ReLU, {pooling}; {self.n_steps:,} steps of Adam, "
            f"batches of {self.batch_size}, λ = {decays} of ‖θ‖² (grows to this), one seed. The paper's are not known."
        )


CLASSIFIERS = {
    "tiny": Setting(6, 6, 3, 200, 100, 150, 32, (1e-2,), 0.01, 0.3),
    "cpu": Setting(8, 16, 6, 10000, 2000, 5000, 32, (4e-3,), 1e-3, 0.3, digits=(0, 1, 2, 3)),
    "full": Setting(28, 64, 11, 60000, 10000, 40000, 128, (3e-3,), 1e-4, 0.3),
}
ZEROS = {
    "tiny": Setting(6, 6, 3, 200, 100, 120, 32, (0.01,), 0.01),
    "cpu": Setting(10, 16, 6, 5000, 900, 2500, 32, (0.05, 0.1), 6e-4),
    "full": Setting(28, 64, 11, 5923, 980, 30000, 128, (0.1, 0.3, 0.8), 1e-4),
}
"""The rate falls as 1/n: a step of Adam moves ``Ŵ`` at DC by n times as much. λ of zeros grows as n, with the loss."""


def shifted_shapes(size: int, n: int, *, rng: int) -> tuple[Floats, Floats]:
    """Five geometric shapes at random places of the torus, with a little noise; one-hot targets."""
    generator = np.random.default_rng(rng)
    images, targets = geometric_shapes(12)
    which = generator.integers(len(images), size=n)
    moves = generator.integers(size, size=(n, 2))
    small = resize(images, size)
    moved = np.stack([np.roll(small[k], m, axis=(-2, -1)) for k, m in zip(which, moves, strict=True)])
    return moved + 0.05 * generator.standard_normal(moved.shape), targets[which]


def classes(run: Run, setting: Setting) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Training and held-out (images, one-hot targets), mean 0 and deviation 1 over all pixels."""
    if run.scale == "tiny":
        parts = [shifted_shapes(setting.size, n, rng=i) for i, n in enumerate((setting.n_train, setting.n_held))]
    else:
        sizes = (("train", setting.n_train), ("test", setting.n_held))
        parts = [
            (resize(x[:n], setting.size), y[:n])
            for (x, y), n in ((load_mnist(classes=setting.digits, split=s), n) for s, n in sizes)
        ]
    mean, deviation = parts[0][0].mean(), parts[0][0].std()
    (x, y), (held, held_y) = parts
    return ((x - mean) / deviation, y), ((held - mean) / deviation, held_y)


def zeros(run: Run, setting: Setting) -> tuple[Floats, Floats]:
    """Training and held-out zeros: MNIST's, or rings."""
    if run.scale == "tiny":
        return rings(setting.size, setting.n_train, rng=0), rings(setting.size, setting.n_held, rng=1)
    found = []
    for split, n in (("train", setting.n_train), ("test", setting.n_held)):
        images, targets = load_mnist(classes=(0, 1), split=split)
        found.append(resize(images[targets[:, 0] == 1.0][:n], setting.size))
    return found[0], found[1]


def gathered(net: CyclicCNN, *, decides: bool) -> Agreement:
    """The kept singular values of the middle layers, times ``|m_ω|``, lie at 1, and few lie between the kept and 0."""
    found = gathering(net)
    near = found.n_kept > 0 and NEAR[0] <= found.low and found.high <= NEAR[1]
    holds = bool(near and found.between <= SPARSE * found.n_kept)
    layers = [layer + 1 for layer in middle(net.depth)]
    return Agreement(
        "singular values gather at 1/|m_ω| on the kept frequencies in the middle layers, the others at 0",
        "the median of |m_ω| s over those kept (above ½)", found.median, (found.low, found.high), "10 to 90 %",
        holds if decides else (holds or None),
        f"Layers {layers[0]} to {layers[-1]} of {net.depth} keep {found.n_kept} of {found.n_values} singular values; "
        f"{found.between} lie between ¼ and ¾." + ("" if holds else WHY_NOT),
    )  # fmt: skip


def classification(run: Run) -> Findings:
    """W1."""
    import torch

    from benchmarks.papers.decayed import as_cyclic, train_kept
    from benchmarks.papers.models import CyclicClassifier
    from benchmarks.papers.training import accuracy

    setting = CLASSIFIERS[run.scale]
    (images, targets), (held, held_targets) = classes(run, setting)
    m = pooling_eigenvalues((setting.size, setting.size), "local", setting.strength)

    def build() -> CyclicClassifier:
        return CyclicClassifier(
            setting.depth, setting.channels, size=setting.size, outputs=targets.shape[1],
            pooling=torch.as_tensor(m, dtype=torch.float32),
        )  # fmt: skip

    (decay,) = setting.decays
    trained = train_kept(run, "w1", build, images, targets, setting.recipe(decay), seed=SEED)
    net, right = as_cyclic(trained.model), accuracy(trained.model, held, held_targets)
    numbers = {
        "cpu_seconds": trained.cpu_seconds,
        "accuracy_held": right,
        "gathering": asdict(gathering(net)),
        **layers_of(net),
    }
    told = (
        f"{'Shapes at random places' if run.scale == 'tiny' else f'MNIST, {len(setting.digits)} digits'}, "
        + setting.told(f"local pooling β = {setting.strength:g}, then the mean of each channel and a dense layer")
        + f" Loss: Σ (f - y)² with one-hot y; accuracy on {setting.n_held:,} other images: {right:.3f}. "
        + cost_of(trained.cpu_seconds)
    )
    pictures = [layers_picture(net), gathering_picture({"": net})]
    return Findings(numbers, gathered(net, decides=run.scale != "tiny"), told, [SEED], pictures)


def autoencoder(run: Run) -> Findings:
    """W2."""
    from benchmarks.papers.decayed import as_cyclic, loss_of, train_kept
    from benchmarks.papers.models import CyclicBottleneck

    setting = ZEROS[run.scale]
    images, held = zeros(run, setting)

    def build() -> CyclicBottleneck:
        return CyclicBottleneck(setting.depth, setting.channels, size=setting.size)

    nets, numbers, seconds = {}, {}, 0.0
    for decay in setting.decays:
        run.say(f"λ = {decay:g}")
        trained = train_kept(run, "w2", build, images, images, setting.recipe(decay), seed=SEED)
        net = nets[decay] = as_cyclic(trained.model)
        seconds += trained.cpu_seconds
        numbers[f"{decay:g}"] = {
            "cpu_seconds": trained.cpu_seconds,
            "loss_held": loss_of(trained.model, held, held),
            "gathering": asdict(gathering(net)),
            **layers_of(net),
        }
    best = min(nets, key=lambda decay: sum(differing(counts_of(nets[decay]))))
    net = nets[best]
    told = (
        f"{'Rings' if run.scale == 'tiny' else 'Zeros of MNIST'}, "
        + setting.told("no pooling")
        + " Loss: Σ (f - y)² over pixels; shown is the λ whose counts are nearest to the paper's. "
        + cost_of(seconds)
    )
    rows = {"W": list(PAPER_COUNTS)} | {f"λ = {d:g}": counts_of(n) for d, n in nets.items()}
    shown = np.concatenate([held[:5], net(held[:5])])
    pictures = [
        Picture(
            "counts", f"Singular values above ½ in layer {net.depth // 2 + 1} by degree |u| + |v|, ω and -ω both.",
            lambda: plot_counts(rows, "degree of the frequency"), "experiments",
        ),
        layers_picture(net),
        Picture("zeros", "Held-out images, and below what the autoencoder makes of them.",
                lambda: plot_images(shown, ["input"] * 5 + ["output"] * 5), "experiments"),
        gathering_picture({f"λ = {d:g}": n for d, n in nets.items()}),
    ]  # fmt: skip
    return Findings(numbers, counted(nets, best, decides=run.scale != "tiny"), told, [SEED], pictures)


def layers_of(net: CyclicCNN) -> dict[str, Any]:
    """Norm and what every layer keeps by degree, ω and -ω both and once; frequency by frequency in the middle."""
    every = [kept(net, layer) for layer in range(net.depth)]
    return {
        "norm": net.norm(),
        "depth": net.depth,
        "kept_by_degree": [by_degree(k) for k in every],
        "pairs_by_degree": [by_degree(k, pairs=True) for k in every],
        "kept_in_the_middle": every[net.depth // 2].tolist(),
    }


def counts_of(net: CyclicCNN) -> list[int]:
    """Kept in the middle layer by degree, ω and -ω both (theory, section 4)."""
    return by_degree(kept(net, net.depth // 2))


def differing(counts: Sequence[int]) -> list[int]:
    """How far each degree's count is from the paper's.

    >>> differing([3, 2, 2, 1])
    [0, 2, 1, 1]
    """
    n = max(len(counts), len(PAPER_COUNTS))
    ours, theirs = (np.pad(np.asarray(row), (0, n - len(row))) for row in (counts, PAPER_COUNTS))
    found: list[int] = np.abs(ours - theirs).tolist()
    return found


def counted(nets: Mapping[float, CyclicCNN], best: float, *, decides: bool) -> Agreement:
    """Kept frequencies beside the paper's 3, 4 and 1."""
    off = {decay: sum(differing(counts_of(net))) for decay, net in nets.items()}
    ours = counts_of(nets[best])
    holds = off[best] == 0
    words = ", ".join(f"{n} of degree {k}" for k, n in enumerate(ours) if n) or "none"
    near = gathering(nets[best])
    return Agreement(
        "the bottleneck keeps 3 constant frequencies, 4 of degree one, 1 of degree two",
        "the sum over degrees of |ours - theirs|", float(off[best]),
        (float(min(off.values())), float(max(off.values()))), f"over {len(nets)} values of λ",
        holds if decides else (holds or None),
        f"Kept at λ = {best:g}: {words}; their singular values in the middle layers are {near.low:.2f} to "
        f"{near.high:.2f} (10 to 90 %), {near.between} lie between ¼ and ¾. How many are kept depends on λ, depth, "
        "pixels and training, which the paper's text at hand does not tell; one dimension at each frequency is what a "
        "linear autoencoder keeps, fewer need a decoder that makes high frequencies from low ones.",
    )  # fmt: skip


def gathering_picture(nets: Mapping[str, CyclicCNN]) -> Picture:
    """Both figures have it."""
    return Picture(
        "gathering", "|m_ω| s over all frequencies of the middle layers; dashed: 1; kept is what lies above ½.",
        lambda: plot_gathering(nets), "experiments",
    )  # fmt: skip


W1 = PaperFigure(
    "w1",
    "Classification of MNIST",
    "Wen & Jacot, experiments: in a deep CNN trained on MNIST with weight decay, global pooling and a dense layer, the "
    "weights of the middle layers are supported on few low frequencies, where their singular values gather, the others "
    "being 0.",
    classification,
    ("MNIST",),
    True,
)
W2 = PaperFigure(
    "w2",
    "Autoencoder of MNIST zeros",
    "Wen & Jacot, experiments: an autoencoder of the zeros of MNIST keeps 3 constant frequencies, 4 of degree one and "
    "1 of degree two in its bottleneck.",
    autoencoder,
    ("MNIST",),
    True,
)
