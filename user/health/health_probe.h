/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/snapshot.h"
#include "policy/health_check.h"
#include "user/upstream/outbound.h"

/*
 * One check of one endpoint: a request of HTTP or gRPC, or a connection of TCP on which bytes may be
 * exchanged, with the TLS settings of the backend's requests. HTTP goes over HTTP/2 if the backend's
 * requests do.
 *
 * Life: health_probe_start() -> on_done() once, from the loop; or health_probe_cancel(). The probe frees
 * itself at the end of that turn.
 */
struct health_probe;

struct health_probe_options {
	struct snapshot *snapshot; /* the next three belong to it; the probe takes a reference */
	const struct endpoint *endpoint;
	const struct backend_ref *ref;
	const struct health_check *check; /* NULL: a connection is enough */
	uint64_t timeout_ms;
	bool keeps_connection; /* an HTTP connection, for the next check */
	/* why: valid during the call; empty with CHECK_PASSED. */
	void (*on_done)(void *owner, enum check_result result, const char *why);
	void *owner;
};

/* outbound: open. NULL without memory. Never calls back. */
struct health_probe *health_probe_start(struct outbound *outbound,
					const struct health_probe_options *options);
/* Ends it without on_done(). */
void health_probe_cancel(struct health_probe *probe);
/* The same after the loop has ended: frees it at once. */
void health_probe_drop(struct health_probe *probe);
/* True if endpoints of this backend can be checked: it has an address, and its TLS settings are valid. */
bool health_probe_can(const struct backend_ref *ref);
