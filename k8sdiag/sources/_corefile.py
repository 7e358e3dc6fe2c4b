"""What of a Corefile goes into a fact: a whole one can hold keys of other clouds and servers."""

from collections.abc import Mapping

from k8sdiag.corefile import CorefileError, parse
from k8sdiag.facts.coredns import Corefile, Plugin, ServerBlock

# The options that are judged of each plugin whose arguments are kept.
KEPT = {
    "autopath": (),
    "bind": (),
    "cache": ("disable",),
    "forward": ("max_concurrent",),
    "kubernetes": ("pods",),
    "loop": (),
    "template": ("match", "rcode"),
}


def reduced(
    config_map: str, text: str, custom: Mapping[str, str], gaps: dict[str, str]
) -> Corefile:
    """`custom` holds the files that clusters mount below custom/, by name."""
    files = {f"custom/{name}": content for name, content in custom.items()}
    try:
        parsed = parse(text, files)
    except CorefileError as error:
        return Corefile(config_map, broken=str(error))
    for name in parsed.unread:
        gaps[f"{name}, which the Corefile of {config_map} imports"] = (
            "it is in no ConfigMap that is read"
        )
    return Corefile(config_map, tuple(map(_server, parsed.servers)))


def _server(block: ServerBlock) -> ServerBlock:
    return ServerBlock(block.zones, tuple(map(_plugin, block.plugins)))


def _plugin(plugin: Plugin) -> Plugin:
    if plugin.name not in KEPT:
        return Plugin(plugin.name)
    kept = KEPT[plugin.name]
    return Plugin(plugin.name, plugin.args, tuple(o for o in plugin.options if o[0] in kept))
