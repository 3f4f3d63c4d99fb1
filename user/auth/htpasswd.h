/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/auth/password_format.h"
#include "user/base/arena.h"

/* Users and their hashed passwords: the text of a file that htpasswd(1) writes, "name:hash" in each line. */
enum {
	HTPASSWD_USERS = 65536, /* of one text: more are refused */
	HTPASSWD_NAME_BYTES = 255, /* as htpasswd(1) */
};

struct htpasswd_user {
	struct span name;
	struct span hash; /* secret */
	uint32_t line;
};

struct htpasswd {
	struct htpasswd_user *user_list; /* sorted by name */
	uint32_t user_count;
};

struct htpasswd_fault {
	uint32_t line; /* from 1; 0: the whole text */
	struct span name; /* of the user, in the text; may be empty */
	const char *what; /* "has an incomplete password hash; copy all of it" */
};

/*
 * Into the arena; the text is copied. Comments (#) and empty lines are skipped. -EINVAL with the first fault,
 * or -ENOMEM. *ret_weak: the first user whose hash is weak; its `what` is NULL if there is none.
 */
int htpasswd_parse(struct arena *arena, struct span text, struct htpasswd *ret,
		   struct htpasswd_fault *ret_fault, struct htpasswd_fault *ret_weak);
/* NULL: unknown. */
const struct htpasswd_user *htpasswd_find(const struct htpasswd *users, struct span name);
