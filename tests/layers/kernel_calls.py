"""Which kernels of XLA a graph calls, and how often."""

import collections

_SUMS = (
    "Sum",
    "Mean",
    "Max",
    "Min",
    "Prod",
    "ArgMax",
    "MatMul",
    "BatchMatMul",
)


def kernel_calls(function, *arguments):
    """The calls of each kernel: of those that sum or compare, and of others.

    Args:
        function: A `tf.function`.
        *arguments: What it is traced for.
    """
    graph = function.get_concrete_function(*arguments).graph.as_graph_def()
    bodies = {body.signature.name: body for body in graph.library.function}

    def sums(name):
        return any(
            node.op.startswith(_SUMS)
            or any(sums(called) for called in _functions(node))
            for node in bodies[name].node_def
        )

    calls = collections.Counter(
        node.attr["f"].func.name
        for nodes in [graph.node, *(body.node_def for body in bodies.values())]
        for node in nodes
        if "_XlaMustCompile" in node.attr and node.attr["_XlaMustCompile"].b
    )
    summing = collections.Counter(
        {name: count for name, count in calls.items() if sums(name)}
    )
    return summing, calls - summing


def _functions(node):
    for value in node.attr.values():
        yield from (f.name for f in [value.func, *value.list.func] if f.name)
