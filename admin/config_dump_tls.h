/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/json_writer.h"

/* TLS in the dump: what was written, and of certificates what everybody may see. Never a key. */

/* {"HTTPS": {...}}; null where TLS is not ended here. */
void dump_listener_tls(struct json_writer *w, const char *protocol, const struct listener_tls *tls);
/* The members of a policy of the kinds FRONTEND_TLS and BACKEND_TLS. */
void dump_frontend_tls(struct json_writer *w, const struct frontend_tls *tls);
void dump_backend_tls(struct json_writer *w, const struct backend_tls *tls);
