"""The storm: many chats while processes are killed, and the invariants that must hold at the end.

`plan` decides everything that chance decides, `clients` chat, `killer` kills and starts again, `upstream` tells what
the provider was asked and sent, `verdict` compares what everybody says, and `storm` does it all.
"""
