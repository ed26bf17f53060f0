"""The one part that setup.cfg cannot declare: the compiled loop over decision trees.

Where there is no C compiler the installation goes on without it, and the pickle itself is the engine.
"""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "server.engine._walk",
            ["server/engine/_walk.c"],
            # Sums are to be scikit-learn's own to the last bit: no multiplication may be fused with an addition.
            extra_compile_args=["-O3", "-ffp-contract=off"],
            py_limited_api=True,
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
