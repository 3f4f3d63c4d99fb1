/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * Sessions of clients with endpoints (sessionPersistence): a token in a cookie or a header leads the requests
 * of a client to the endpoint that answered its first one. Nothing is stored here: user/auth/session_token.h.
 */

/*
 * Reads the token of a request whose route has sessions, and takes it out of the head, so that no backend
 * gets it: stream->exchange->session. 0 or -ENOMEM.
 */
int session_find(struct stream *stream);
/* The backend of the session, whatever its weight; NULL: there is none, so the weights decide. */
const struct backend_ref *session_backend(const struct stream *stream);
/* The session's endpoint of stream->backend; UINT32_MAX: none. */
uint32_t session_endpoint(const struct stream *stream);
/*
 * Adds the token to the response if the client lacks it: another endpoint answers than that of its session,
 * or the idle time starts anew. 0 or -ENOMEM.
 */
int session_answer(struct stream *stream);
