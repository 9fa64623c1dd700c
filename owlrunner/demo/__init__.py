"""This is the room for what the demo brings along so that there is something to see: a stand-in for RevenueCat."""
