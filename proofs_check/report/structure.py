"""Section 1: what there is to learn. Modes, class coherence, power spectrum [Pinson et al. fig 2, S.4, app. A]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn import Modes, SecondMoments
from lineardyn.plots import plot_images, plot_modes, plot_power_spectrum, plot_singular_values
from proofs_check.report.datasets import Dataset
from proofs_check.report.section import Picture, Section
from proofs_check.spectra import PowerLaw, fit_power_law, radial_average

__all__ = ["Structure", "compute", "section"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Structure:
    """The numbers of section 1."""

    dataset: Dataset
    form: str
    modes: Modes
    coherence: float
    radii: Floats
    power: Floats
    law: PowerLaw

    @property
    def largest_coefficient(self) -> Floats:
        """``max_f ‖q_αf‖``: 1/√m for a pure cosine, small where a mode is spread over frequencies."""
        largest: Floats = np.linalg.norm(self.modes.q, axis=1).max(axis=(1, 2))
        return largest

    def numbers(self) -> dict[str, Any]:
        """What goes to numbers.json."""
        height, width = self.dataset.images.shape[2:]
        return {
            "n_images": len(self.dataset.images),
            "image_shape": list(self.dataset.images.shape[1:]),
            "classes": list(self.dataset.class_names),
            "mean_subtracted": self.dataset.centred,
            "statistics_form": self.form,
            "singular_values": self.modes.s,
            "null_modes": self.modes.null,
            "second_moments_of_modes": self.modes.d,
            "largest_fourier_coefficient_of_modes": self.largest_coefficient,
            "class_coherence": self.coherence,
            "power_law_exponent": self.law.exponent,
            "power_law_exponent_interval_95": list(self.law.interval),
            "power_spectrum": {"radius": self.radii, "power": self.power},
            "pixels": height * width,
        }


def compute(dataset: Dataset, moments: SecondMoments) -> Structure:
    """Modes, coherence and spectrum of a data set."""
    radii, power = radial_average(moments.power_spectrum())
    law = fit_power_law(radii, power, min(moments.image_shape[1:]) // 2)
    return Structure(dataset, moments.form, moments.modes(), moments.coherence(), radii, power, law)


def section(result: Structure) -> Section:
    """The numbers as a part of the report."""
    data, alive = result.dataset, int((~result.modes.null).sum())
    return Section(
        id=f"{data.name}-modes",
        title=f"1 · {data.title}: what there is to learn",
        paragraphs=[data.description, _about_modes(result, alive), _about_spectrum(result)],
        numbers=result.numbers(),
        pictures=_pictures(result),
        notes=data.notes,
    )


def _about_modes(result: Structure, alive: int) -> str:
    s, null = result.modes.s[~result.modes.null], int(result.modes.null.sum())
    text = f"The input-output correlation Σʸˣ has {alive} mode{'s' if alive != 1 else ''}"
    text += (
        f" and {null} null mode{'s' if null != 1 else ''} (the mean image was subtracted)"
        if null and result.dataset.centred
        else ""
    )
    text += f", with singular values from {s[0]:.3g} down to {s[-1]:.3g}. "
    if result.coherence > 1 - 1e-9:
        return (
            text
            + "All images of a class are equal (class coherence 1), so Σˣˣ is diagonal in the modes: what the paper "
            "assumes in eq 3."
        )
    return text + (
        f"Class coherence, the share of the images' power that lies in the modes, is {result.coherence:.3g}: Σˣˣ is "
        f"not diagonal in the modes, the modes are coupled, and the flow below uses the full Σˣˣ ({result.form} form)."
    )


def _about_spectrum(result: Structure) -> str:
    low, high = result.law.interval
    if not np.isfinite(low):
        return "Not every ring of frequencies has power: no power law is fitted."
    return (
        f"The power of the images goes with the radius r of the frequency as r^{_signed(-result.law.exponent)} "
        f"(95 % interval of the fit {low:.2f} to {high:.2f}); photographs have an exponent near 2."
    )


def _signed(number: float) -> str:
    """With a typeset minus."""
    return f"{number:.2f}".replace("-", "−")


def _pictures(result: Structure) -> list[Picture]:
    data, modes = result.dataset, result.modes
    law = result.law
    fit = law.line if len(law.line[0]) else None
    return [
        Picture(
            f"{data.name}-images",
            "One image of each class" + (", the mean not yet subtracted." if data.centred else "."),
            lambda: plot_images(data.examples, data.class_names), "fig 2 (a)",
        ),
        Picture(
            f"{data.name}-modes",
            "The modes, from the broadest distinction between classes to the finest. Above: the right singular "
            "vector as an "
            "image (red positive, blue negative; colours around grey for RGB). Below: how much of it each class has.",
            lambda: plot_modes(modes, class_names=data.class_names, n=8), "fig 2 (b-d), S.4",
        ),
        Picture(
            f"{data.name}-singular-values",
            "Singular values of Σʸˣ. The larger, the earlier learned; equal ones are learned together.",
            lambda: plot_singular_values(modes.s, null=modes.null), "fig 2 (c)",
        ),
        Picture(
            f"{data.name}-power-spectrum",
            "Mean power of the frequencies over their radius" + (", with the fitted power law." if fit else "."),
            lambda: plot_power_spectrum(result.radii, result.power, fit=fit, label=f"radius$^{{{-law.exponent:.2f}}}$"),
        ),
    ]  # fmt: skip
