/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/json_writer.h"

/* TLS in the dump: the settings as written, and the public part of certificates. Never a key. */

/* Writes {"HTTPS": {...}}; null if the listener does not terminate TLS. */
void dump_listener_tls(struct json_writer *w, const char *protocol, const struct listener_tls *tls);
/* Writes the members of a policy of the kinds FRONTEND_TLS and BACKEND_TLS. */
void dump_frontend_tls(struct json_writer *w, const struct frontend_tls *tls);
void dump_backend_tls(struct json_writer *w, const struct backend_tls *tls);
