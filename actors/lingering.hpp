// What is left of a connection that was ended while its peer was still sending. Closing a socket with bytes unread
// makes the kernel send a reset, and that may destroy the error which says why before the peer has read it. So what
// comes is thrown away for a moment, until the peer has closed its side.
#pragma once

#include "actors/stream.hpp"

namespace pg_edge::actors {

class reactor;

/// Takes the socket over, whose own half has been closed. On the reactor's thread.
void linger(reactor& home, stream socket);

} // namespace pg_edge::actors
