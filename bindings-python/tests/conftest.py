"""For all tests: the fixture that runs pytest itself, for the plugin."""

pytest_plugins = ["pytester"]
