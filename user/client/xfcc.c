/* SPDX-License-Identifier: Apache-2.0 */
#include "user/client/xfcc.h"

#include <errno.h>
#include <string.h>

#include "user/base/text.h"

/* More names are omitted, because a header has a limit. */
enum { XFCC_NAMES = 16 /* of a kind */, XFCC_ARENA_BYTES = 1024 };

/* Writes a quoted string and escapes quotes and backslashes. */
static void put_quoted(struct text *text, struct span value)
{
	text_char(text, '"');
	for (size_t i = 0; i < value.len; i++) {
		if (value.data[i] == '"' || value.data[i] == '\\')
			text_char(text, '\\');
		text_char(text, value.data[i]);
	}
	text_char(text, '"');
}

/* True if the name contains no separator: it could otherwise imitate another element. */
static bool is_plain(struct span name)
{
	for (size_t i = 0; i < name.len; i++) {
		if (name.data[i] <= ' ' || name.data[i] >= 0x7f || strchr(";,\"=", name.data[i]))
			return false;
	}
	return name.len != 0;
}

static void put_names(struct text *text, const char *key, const struct span *name_list, uint32_t count)
{
	for (uint32_t i = 0; i < count && i < XFCC_NAMES; i++) {
		if (!is_plain(name_list[i]))
			continue;
		text_str(text, key);
		text_add(text, name_list[i]);
	}
}

static void put_certificate(struct text *text, const struct tls_certificate *certificate)
{
	text_str(text, "Hash=");
	for (size_t i = 0; i < certificate->fingerprint.len; i++) {
		char c = certificate->fingerprint.data[i];

		if (c != ':')
			text_char(text, c >= 'A' && c <= 'F' ? (char)(c | 0x20) : c);
	}
	text_str(text, ";Subject=");
	put_quoted(text, certificate->subject);
	put_names(text, ";URI=", certificate->uri_list, certificate->uri_count);
	put_names(text, ";DNS=", certificate->name_list, certificate->name_count);
}

int client_xfcc_make(const struct tls_session *session, struct span *ret_text)
{
	struct tls_certificate certificate;
	bool is_verified = false;
	struct arena arena;
	struct text text;
	int error;

	*ret_text = (struct span){ 0 };
	arena_init(&arena, XFCC_ARENA_BYTES);
	error = tls_peer(session, &arena, &certificate, &is_verified);
	if (error || !is_verified) {
		arena_done(&arena);
		return error == -ENOENT ? 0 : error;
	}
	text_init(&text);
	put_certificate(&text, &certificate);
	arena_done(&arena);
	error = text_error(&text);
	if (error)
		text_done(&text);
	else
		*ret_text = text_span(&text);
	return error;
}
