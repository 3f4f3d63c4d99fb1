/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/session_value.h"

#include "config/build.h"
#include "config/core/values/credential_value.h"
#include "config/core/values/tls_files.h"
#include "config/core/values/values.h"
#include "config/snapshot.h"
#include "user/auth/session_token.h"
#include "user/base/units.h"
#include "user/tls/identity.h"

/* -------------------------------------------------------------------------------- the key */

#define KEY_ADVICE "write 64 hexadecimal digits, as openssl rand -hex 32 prints them"

static bool keep_key(struct decoder *d, const struct session_key *key)
{
	struct snapshot *snapshot = build_of(d)->snapshot;
	struct session_key *kept = session_key_create(key);

	if (!kept || snapshot_add_destructor(snapshot, session_key_free, kept) < 0) {
		session_key_free(kept);
		d->failed = true;
		return false;
	}
	snapshot->session_key = kept;
	return true;
}

static bool decode_key(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct credential_text text;
	struct session_key key = { 0 };
	bool is_valid = credential_text_read(d, node,
					     KEY_ADVICE ", or key: {file: /etc/headgate/session-key}", &text);

	if (is_valid && !session_key_parse(span_trim(text.text), &key)) {
		config_error(d->report, node, "is not a key; " KEY_ADVICE);
		is_valid = false;
	}
	credential_text_done(&text);
	is_valid = is_valid && keep_key(d, &key);
	tls_wipe(&key, sizeof(key));
	if (is_valid)
		*(struct span *)ret = SPAN("<redacted>");
	return is_valid;
}

static const struct schema_row key_rows[] = {
	{ "key", AS_TEXT(struct static_config, session_key), .decode = decode_key, .dump = DUMP_NOT_ZERO,
	  .value_doc = "64 hexadecimal digits, or `{file: path}`", .default_doc = "random, of this process",
	  .doc = "signs the sessions of `sessionPersistence`, as in `${SESSION_KEY}`; `openssl rand -hex 32` "
		 "makes one. Sessions of MCP stay in their process" },
};
const struct schema session_key_schema = SCHEMA(key_rows, struct static_config);

/* -------------------------------------------------------------------------------- the policy */

/* RFC 6265 4.1.1: a token, because the name is compared with what clients send. */
static bool is_token(struct span name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.data[i];

		if (c <= ' ' || c >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", c))
			return false;
	}
	return name.len > 0 && name.len <= 128;
}

static bool decode_name_of(struct decoder *d, const struct yaml_node *node, struct span *ret)
{
	struct span name;

	if (!decode_name(d, node, &name))
		return false;
	if (!is_token(name)) {
		config_error(
			d->report, node,
			"%s cannot be the name of a cookie or a header; write up to 128 letters, digits and "
			"dashes",
			QUOTE(name));
		return false;
	}
	if (ret->len && !span_eq(*ret, name)) {
		config_error(d->report, node, "is another name than %s; write one of them", QUOTE(*ret));
		return false;
	}
	*ret = name;
	return true;
}

static bool decode_session_name(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return decode_name_of(d, node, ret);
}

/* What browsers take as the value of an attribute (RFC 6265 4.1.1). */
static bool decode_path(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct span path;

	if (!decode_name(d, node, &path))
		return false;
	if (path.data[0] != '/' || span_find(path, ';') >= 0 || path.len > 1024) {
		config_error(d->report, node, "%s is not the path of a cookie; write one such as /shop",
			     QUOTE(path));
		return false;
	}
	*(struct span *)ret = path;
	return true;
}

static const struct schema_row cookie_rows[] = {
	{ "name", AS_REST(struct session_cookie), .value_doc = "name", .default_doc = "as `sessionName`",
	  .doc = "as `sessionName`" },
	{ "path", AS_TEXT(struct session_cookie, path), .decode = decode_path, .default_text = "/",
	  .doc = "attribute `Path`" },
	{ "lifetimeType", AS_WORD(struct session_cookie, lifetime), WORDS("Session", "Permanent"),
	  .doc = "`Permanent`: the cookie has `Max-Age` and survives the end of the browser; needs "
		 "`absoluteTimeout`" },
	{ "sameSite", AS_WORD(struct session_cookie, same_site), WORDS("Lax", "Strict", "None"),
	  .doc = "extension: attribute `SameSite`" },
};
static const struct schema cookie_schema = SCHEMA(cookie_rows, struct session_cookie);

/* The members are decoded where the whole policy is known: check_session(). */
static const struct schema_row header_rows[] = {
	{ "name", AS_REST(struct session_persistence), .value_doc = "name", .default_doc = "as `sessionName`",
	  .doc = "as `sessionName`" },
};
static const struct schema header_schema = SCHEMA(header_rows, struct session_persistence);

static const struct schema_row old_cookie_rows[] = {
	{ "lifetimeType", AS_WORD(struct session_persistence, cookie.lifetime), WORDS("Session", "Permanent"),
	  .doc = "the same in Gateway API 1.6" },
};
static const struct schema old_cookie_schema = SCHEMA(old_cookie_rows, struct session_persistence);

static bool decode_header(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct session_persistence unused = { 0 };

	(void)ret;
	return schema_decode(d, node, &header_schema, &unused);
}

static bool decode_old_cookie(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return schema_decode(d, node, &old_cookie_schema, ret);
}

static void check_header(struct decoder *d, const struct yaml_node *node, struct session_persistence *policy)
{
	if (decode_get(node, "cookie") || decode_get(node, "cookieConfig"))
		config_error(d->report, node, "type: Header has no cookie; remove it, or write type: Cookie");
	if (policy->name.len)
		value_header_name(d, node, policy->name, &policy->name);
}

static void check_session(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct session_persistence *policy = object;

	policy->has_cookie = policy->type == SESSION_COOKIE;
	decode_name_of(d, decode_get(decode_get(node, "cookie"), "name"), &policy->name);
	decode_name_of(d, decode_get(decode_get(node, "header"), "name"), &policy->name);
	if (policy->type == SESSION_HEADER)
		check_header(d, node, policy);
	else if (decode_get(node, "header"))
		config_error_key(d->report, decode_get(node, "header"),
				 "needs type: Header; without it the session is in a cookie");
	if (decode_get(node, "cookie") && decode_get(node, "cookieConfig"))
		config_error_key(d->report, decode_get(node, "cookieConfig"),
				 "is the older name of cookie; write one of them");
	if (policy->cookie.lifetime == SESSION_LIFETIME_PERMANENT && !policy->absolute.is_set)
		config_error(
			d->report, node,
			"lifetimeType: Permanent needs absoluteTimeout, the time until the cookie expires");
}

static const struct schema_row session_rows[] = {
	{ "sessionName", AS_TEXT(struct session_persistence, name), .decode = decode_session_name,
	  .dump = DUMP_NOT_ZERO, .value_doc = "name", .default_doc = "one for each route",
	  .doc = "of the cookie or the header" },
	{ "absoluteTimeout", AS_OPT_DURATION(struct session_persistence, absolute), AT_LEAST(NS_PER_S),
	  .default_doc = "off", .doc = "after this time a client gets a new session" },
	{ "idleTimeout", AS_OPT_DURATION(struct session_persistence, idle), AT_LEAST(NS_PER_S),
	  .default_doc = "off",
	  .doc = "a session that is not used for this time ends; the client gets the cookie or header again "
		 "with each response" },
	{ "type", AS_WORD(struct session_persistence, type), WORDS("Cookie", "Header"),
	  .doc = "where the session is: in a cookie, or in a header that the response has and the client "
		 "repeats" },
	{ "cookie", AS_MAP(struct session_persistence, cookie, &cookie_schema, struct session_cookie),
	  SET_BY(struct session_persistence, has_cookie) },
	{ "cookieConfig", AS_REST(struct session_persistence), .decode = decode_old_cookie,
	  .child = &old_cookie_schema },
	{ "header", AS_REST(struct session_persistence), .decode = decode_header, .child = &header_schema },
};
const struct schema session_schema = SCHEMA(session_rows, struct session_persistence, .check = check_session);
