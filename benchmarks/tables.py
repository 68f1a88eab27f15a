"""The table of ratios, and the line on the machine."""

from __future__ import annotations

from typing import Any

from benchmarks.reference import table


def ratios_table(content: dict[str, Any], command: str) -> str:
    """Return the tables of ratios and medians that a command wrote, and where it ran."""
    rows = [
        [
            r["name"],
            f"**{r['median']:.2f}**",
            f"{r['low']:.2f} to {r['high']:.2f}",
            str(r["repeats"]),
            f"≥ {r['wanted']}" if r["wanted"] else "",
        ]
        for r in content["ratios"]
    ]
    medians = [[arm, f"{value:.1f}"] for arm, value in content["medians"].items()]
    return f"""{table(["ratio", "median", "range", "repetitions", "wanted"], rows)}
{table(["arm", "median " + content["unit"]], medians)}
Command: `{command}`

{machine_line(content["machine"])}"""


def machine_line(machine: dict[str, Any]) -> str:
    """Return the line that names processor and versions."""
    parts = [f"{name} {value}" for name, value in machine.items() if name not in ("processor", "cores")]
    return f"Machine: {machine['processor']}, {machine['cores']} cores; {', '.join(parts)}.\n"
