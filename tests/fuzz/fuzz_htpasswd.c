/* SPDX-License-Identifier: Apache-2.0 */
/* The text of users and hashes. What is accepted is found by its name, and is cheap enough to verify. */
#include <stddef.h>
#include <stdint.h>

#include "user/auth/htpasswd.h"
#include "user/auth/password_hash.h"
#include "user/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct htpasswd users = { 0 };
	struct htpasswd_fault fault = { 0 }, weak = { 0 };
	struct arena arena;

	arena_init(&arena, 4096);
	if (htpasswd_parse(&arena, span_of(data, size), &users, &fault, &weak) == 0) {
		CHECK(users.user_count > 0);
		for (uint32_t i = 0; i < users.user_count; i++) {
			const struct htpasswd_user *user = &users.user_list[i];

			CHECK(htpasswd_find(&users, user->name) == user);
			CHECK(password_hash_is_known(user->hash) == 0);
			if (user->hash.data[0] == '$')
				CHECK(password_hash_length(user->hash) == user->hash.len);
		}
	} else {
		CHECK(fault.what);
	}
	arena_done(&arena);
	return 0;
}
