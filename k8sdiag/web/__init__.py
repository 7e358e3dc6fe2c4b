"""An HTTP server for exporters, with the web configuration file that Prometheus' own take."""
