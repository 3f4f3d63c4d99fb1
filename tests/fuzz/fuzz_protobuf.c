/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first byte chooses: a message, read field by field and written again; or the answer of a service of
 * extAuthz or remoteRateLimit, read by its policy. What was written again is read the same; an answer that is
 * malformed admits nobody; nothing that an answer says has a byte that would end a line.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "policy/guard/ext_authz.h"
#include "policy/guard/remote_limit.h"
#include "policy/headers.h"
#include "user/base/char_class.h"
#include "user/base/check.h"
#include "user/base/protobuf.h"

#define MUST CHECK

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Writes fields as they were read, those that the writer has; false: not all of them can be compared. */
static bool write_again(struct span in, struct buf *out)
{
	struct protobuf_writer writer;
	struct protobuf_field field;
	bool has_others = false;
	int result;

	protobuf_init(&writer, out, BUF_MAX_BYTES);
	while ((result = protobuf_next(&in, &field)) > 0) {
		MUST(field.number >= 1 && field.number < 1u << 29);
		if (field.wire == PROTOBUF_VARINT)
			protobuf_number(&writer, field.number, field.value);
		else if (field.wire == PROTOBUF_LEN)
			protobuf_bytes(&writer, field.number, field.bytes);
		else
			has_others = true;
	}
	MUST(result == 0 || result == -EBADMSG);
	MUST(writer.error == 0);
	return !has_others && result == 0;
}

static void check_message(struct span in)
{
	struct buf once, twice;

	buf_init(&once);
	buf_init(&twice);
	if (write_again(in, &once)) {
		MUST(write_again(buf_span(&once), &twice));
		MUST(span_eq(buf_span(&once), buf_span(&twice)));
	}
	buf_done(&once);
	buf_done(&twice);
}

static void check_fields(const struct fields *fields)
{
	for (uint32_t i = 0; fields && i < fields->count; i++) {
		MUST(char_class_is_token(fields->list[i].name));
		MUST(char_class_is_text(fields->list[i].value));
	}
}

static void check_additions(const struct guard_additions *additions)
{
	for (const struct guard_addition *at = additions->first; at; at = at->next) {
		MUST(headers_may_modify(at->field.name));
		MUST(char_class_is_token(at->field.name));
		MUST(char_class_is_text(at->field.value));
	}
}

static void check_changes(const struct header_modifier *changes)
{
	for (uint32_t i = 0; changes && i < changes->set_count; i++) {
		MUST(headers_may_modify(changes->set_list[i].name));
		MUST(char_class_is_token(changes->set_list[i].name));
		MUST(char_class_is_text(changes->set_list[i].value));
	}
	for (uint32_t i = 0; changes && i < changes->remove_count; i++)
		MUST(headers_may_modify(changes->remove_list[i]));
}

static void check_answer(struct span message, bool is_limit)
{
	static const struct ext_authz_policy authz = { .failure_mode = CALLOUT_FAILURE_DENY };
	static const struct remote_rate_limit limit = { .failure_mode = CALLOUT_FAILURE_DENY };
	struct guard_reply reply = { .status = 200, .body = message };
	struct guard_answer answer = { 0 };
	struct request_head head = { 0 };
	struct guard_identity identity = { 0 };
	struct guard_facts facts = { .head = &head, .reply = &reply, .identity = &identity };
	struct arena arena;
	int verdict;

	arena_init(&arena, 1024);
	fields_init(&head.fields, &arena);
	fields_init(&answer.fields, &arena);
	reply.fields = &head.fields;
	reply.subject = is_limit ? (const void *)&limit : (const void *)&authz;
	verdict = is_limit ? remote_limit_check(&limit, &facts, &answer)
			   : ext_authz_check(&authz, &facts, &answer);
	MUST(verdict == GUARD_PASS || verdict == GUARD_REFUSE);
	MUST(message.len || verdict == GUARD_REFUSE);
	if (verdict == GUARD_REFUSE)
		MUST(answer.status >= 300 && answer.status <= 599);
	check_fields(&answer.fields);
	check_fields(answer.response);
	check_additions(&answer.additions);
	MUST(verdict == GUARD_PASS || !answer.additions.first);
	check_changes(answer.request);
	arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data + 1, size ? size - 1 : 0);

	if (!size)
		return 0;
	if (data[0] % 3 == 0)
		check_message(in);
	else
		check_answer(in, data[0] % 3 == 2);
	return 0;
}
