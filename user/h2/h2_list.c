/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/base/text.h"
#include "user/h2/h2_internal.h"

/* Heads on their way out, as nghttp2 wants them. */

enum {
	LIST_FIRST = 32,
	PSEUDO_MAX = 6,
	FIELD_BOUND_BYTES = 12, /* of two lengths, RFC 7541 5.1 */
};

static int list_reserve(struct h2_session *session, size_t count)
{
	size_t size = session->list_size ? session->list_size : LIST_FIRST;
	nghttp2_nv *list;

	while (size < count)
		size *= 2;
	if (size == session->list_size)
		return 0;
	list = hg_realloc(session->list, size * sizeof(*list));
	if (!list)
		return -ENOMEM;
	session->list = list;
	session->list_size = size;
	return 0;
}

static nghttp2_nv list_entry_of(struct span name, struct span value, uint8_t flags)
{
	return (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name.data,
			     .value = (uint8_t *)(uintptr_t)value.data,
			     .namelen = name.len,
			     .valuelen = value.len,
			     .flags = flags };
}

/* Names that are known outlive every head: nghttp2 need not copy them. */
static nghttp2_nv *list_put_pseudo(nghttp2_nv *at, struct span name, struct span value)
{
	if (!value.len)
		return at;
	*at = list_entry_of(name, value, NGHTTP2_NV_FLAG_NO_COPY_NAME);
	return at + 1;
}

static nghttp2_nv *list_put(nghttp2_nv *at, const struct field *field)
{
	bool is_known = field->id != FIELD_OTHER;

	*at = list_entry_of(is_known ? field_name_of(field->id) : field->name, field->value,
			    is_known ? NGHTTP2_NV_FLAG_NO_COPY_NAME : NGHTTP2_NV_FLAG_NONE);
	return at + 1;
}

/* By the largest it could become: how well it compresses is known too late. */
static bool list_is_too_large(const nghttp2_nv *list, const nghttp2_nv *end)
{
	size_t bytes = 0;

	for (; list != end; list++)
		bytes += list->namelen + list->valuelen + FIELD_BOUND_BYTES;
	return bytes > LIMIT_H2_HEAD_WRITE_BYTES;
}

ssize_t h2_session_list(struct h2_session *session, const struct h2_head *head)
{
	struct span status = { NULL, 0 };
	nghttp2_nv *at;

	if (list_reserve(session, head->fields.count + PSEUDO_MAX) < 0)
		return -ENOMEM;
	if (head->status)
		status = span_of(session->status, text_u64(session->status, head->status));
	at = list_put_pseudo(session->list, SPAN(":status"), status);
	at = list_put_pseudo(at, SPAN(":method"), head->method);
	at = list_put_pseudo(at, SPAN(":scheme"), head->scheme);
	at = list_put_pseudo(at, SPAN(":authority"), head->authority);
	at = list_put_pseudo(at, SPAN(":path"), head->path);
	at = list_put_pseudo(at, SPAN(":protocol"), head->protocol);
	for (uint32_t i = 0; i < head->fields.count; i++)
		at = list_put(at, &head->fields.list[i]);
	return list_is_too_large(session->list, at) ? -ENOBUFS : at - session->list;
}
