"""Files of /proc/net/stat: a header, and a row for each CPU."""

from k8sdiag.model import Unavailable


def per_cpu(text: str, name: str) -> list[dict[str, int]]:
    """One row a CPU, by column name: hexadecimal, and the columns differ between kernels.

    `entries` is the same gauge on each row; the rest are counters, to be summed over the rows.
    Raises Unavailable for what the kernel does not write.
    """
    header, *lines = [line.split() for line in text.splitlines() if line.strip()] or [[]]
    try:
        rows = [dict(zip(header, (int(x, 16) for x in line), strict=True)) for line in lines]
    except ValueError as error:
        raise Unavailable(f"{name} is not as the kernel writes it: {error}") from None
    if not rows or "entries" not in rows[0]:
        raise Unavailable(f"{name} is not as the kernel writes it: no entries in it")
    return rows
