"""Exporters: one module per format, each with render(report) -> str."""
