/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/errors.h"
#include "config/model.h"

/*
 * Every certificate that a compiled snapshot uses: of listeners, of this gateway towards backends, of
 * authorities. Fills snapshot->certificate_list. 0 or -ENOMEM.
 */
int certificate_list_build(struct snapshot *snapshot);

enum {
	CERTIFICATE_SOON_DAYS = 30,
	CERTIFICATE_URGENT_DAYS = 7,
	CERTIFICATE_WARNINGS = 10, /* with a line of their own; the others are counted */
};

/* Days that are left, rounded down; negative: it has ended. */
int64_t certificate_days_left(const struct tls_certificate *certificate, int64_t now_s);
/*
 * Calls `say` with a sentence for each that ends soon, has ended or is not valid yet. now_s: since the
 * epoch.
 */
void certificate_warn(const struct snapshot *snapshot, int64_t now_s,
		      void (*say)(void *context, const char *sentence), void *context);
