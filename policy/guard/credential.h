/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model_auth.h"
#include "user/base/text.h"
#include "user/http/head.h"

/*
 * The credential in a request head. A request has one or none: when a header, parameter or cookie occurs
 * twice, gateway and backend could read different ones, so it counts as an invalid one.
 */
enum credential_found {
	CREDENTIAL_ABSENT,
	CREDENTIAL_FOUND,
	CREDENTIAL_INVALID,
};

/*
 * *ret_value is borrowed from the head, or in the arena. -ENOMEM, or enum credential_found. Not for an
 * expression, whose facts only the caller knows.
 */
int credential_find(const struct credential_location *location, const struct request_head *head,
		    struct arena *arena, struct span *ret_value);
/*
 * Takes the credential out of the head, so that no backend gets it: every header that a backend could read as
 * this one, every parameter or cookie of the name; nothing for an expression. 0 or -ENOMEM.
 */
int credential_remove(const struct credential_location *location, struct request_head *head,
		      struct arena *arena);
/* True if credential_remove() at one place takes out a credential at the other. */
bool credential_removes(const struct credential_location *a, const struct credential_location *b);
/*
 * Appends a secret as it stands in a request: behind the prefix of the header, as name=value, with %XX in a
 * query. Nothing for an expression.
 */
void credential_write(const struct credential_location *location, struct span secret, struct text *to);
/*
 * Puts a credential into a head that has none at this place. text: as credential_write() makes it. Not for
 * an expression. 0; -EINVAL: the head of `OPTIONS *` has no query; -ENOMEM.
 */
int credential_insert(const struct credential_location *location, struct span text, struct request_head *head,
		      struct arena *arena);
