/* SPDX-License-Identifier: Apache-2.0 */
#include "user/auth/htpasswd.h"

#include <errno.h>
#include <stdlib.h>

#include "user/auth/password_hash.h"

static bool has_control(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.data[i] < 0x20 || s.data[i] == 0x7f)
			return true;
	return false;
}

/* The next line that is not empty and no comment. */
static bool next_line(struct span *rest, uint32_t *line, struct span *ret)
{
	struct span s;

	while (rest->len && span_split(rest, '\n', &s)) {
		++*line;
		if (s.len && s.data[s.len - 1] == '\r')
			s.len--;
		s = span_trim(s);
		if (s.len && s.data[0] != '#') {
			*ret = s;
			return true;
		}
	}
	return false;
}

static const char *user_parse(struct span line, struct htpasswd_user *ret)
{
	enum password_scheme scheme;
	ptrdiff_t colon = span_find(line, ':');
	const char *what;

	if (colon <= 0)
		return colon == 0 ? "has no name in front of the colon"
				  : "is not \"name:hash\"; write it with htpasswd";
	ret->name = span_first(line, (size_t)colon);
	ret->hash = span_from(line, (size_t)colon + 1);
	if (ret->name.len > HTPASSWD_NAME_BYTES || has_control(ret->name))
		return "has a name that is longer than 255 bytes or contains control characters";
	what = password_format_check(ret->hash, &scheme);
	if (!what && password_hash_is_known(ret->hash) < 0)
		what = "has a password hash in a form that this system's libcrypt does not know";
	return what;
}

static int by_name(const void *a, const void *b)
{
	const struct htpasswd_user *one = a, *other = b;

	return span_compare(one->name, other->name);
}

static uint32_t count_lines(struct span text)
{
	struct span line;
	uint32_t count = 0, number = 0;

	while (next_line(&text, &number, &line))
		count++;
	return count;
}

static int refuse(struct htpasswd_fault *fault, uint32_t line, struct span name, const char *what)
{
	*fault = (struct htpasswd_fault){ line, name, what };
	return -EINVAL;
}

int htpasswd_parse(struct arena *arena, struct span text, struct htpasswd *ret,
		   struct htpasswd_fault *ret_fault, struct htpasswd_fault *ret_weak)
{
	struct htpasswd users = { .user_count = count_lines(text) };
	uint32_t number = 0, count = 0;
	struct span rest, line;

	*ret_weak = (struct htpasswd_fault){ 0 };
	if (users.user_count == 0)
		return refuse(ret_fault, 0, (struct span){ 0 }, "has no user; add one with htpasswd -B");
	if (users.user_count > HTPASSWD_USERS)
		return refuse(ret_fault, 0, (struct span){ 0 }, "has more than 65536 users");
	rest = arena_copy(arena, text);
	users.user_list = arena_take(arena, users.user_count * sizeof(*users.user_list));
	if (!rest.data || !users.user_list)
		return -ENOMEM;
	while (next_line(&rest, &number, &line)) {
		struct htpasswd_user *user = &users.user_list[count++];
		const char *what = user_parse(line, user);

		user->line = number;
		if (what)
			return refuse(ret_fault, number, user->name, what);
		if (!ret_weak->what && password_format_weakness(user->hash))
			*ret_weak = (struct htpasswd_fault){ number, user->name,
							     password_format_weakness(user->hash) };
	}
	qsort(users.user_list, users.user_count, sizeof(*users.user_list), by_name);
	for (uint32_t i = 1; i < users.user_count; i++)
		if (by_name(&users.user_list[i - 1], &users.user_list[i]) == 0)
			return refuse(ret_fault, users.user_list[i].line, users.user_list[i].name,
				      "occurs twice; remove one of them");
	*ret = users;
	return 0;
}

const struct htpasswd_user *htpasswd_find(const struct htpasswd *users, struct span name)
{
	struct htpasswd_user key = { .name = name };

	return bsearch(&key, users->user_list, users->user_count, sizeof(key), by_name);
}
