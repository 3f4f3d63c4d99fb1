/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/errors.h"
#include "config/model.h"

/*
 * Fills snapshot->certificate_list with every certificate that a compiled snapshot uses: of listeners, of
 * this gateway towards backends, of authorities. 0 or -ENOMEM.
 */
int certificate_list_build(struct snapshot *snapshot);

enum {
	CERTIFICATE_SOON_DAYS = 30,
	CERTIFICATE_URGENT_DAYS = 7,
	CERTIFICATE_WARNINGS = 10, /* each with its own line; further ones are only counted */
};

/* Days until it expires, rounded down; negative: it has expired. */
int64_t certificate_days_left(const struct tls_certificate *certificate, int64_t now_s);
/*
 * Calls `say` with a sentence for each certificate that expires soon, has expired or is not valid yet.
 * now_s: since the epoch.
 */
void certificate_warn(const struct snapshot *snapshot, int64_t now_s,
		      void (*say)(void *context, const char *sentence), void *context);
