/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/text.h"
#include "user/mcp/protocol/rewrite.h"
#include "user/mcp/session/access.h"
#include "user/mcp/session/session_internal.h"

static const struct span NOTHING = { NULL, 0 };

/* ---- sub-requests ---- */

static void sub_request_done(struct mcp_session *s, struct mcp_sub_request *sub_request, bool is_error)
{
	struct mcp_request *r = sub_request->request;

	mcp_ids_drop(&s->sub_requests, sub_request->id);
	sub_request->id = 0;
	sub_request->is_error = is_error;
	r->waiting--;
	if (s->setup.watch && r->stream)
		s->setup.watch->ended(s->setup.context, sub_request->target, r->method_text, r->name,
				      r->started_ms, is_error);
}

static bool is_unknown_method(struct span error)
{
	return span_eq(mcp_json_member(error, SPAN("code")), SPAN("-32601"));
}

/* The HTTP status of a response that consists only of this error (2026-07-28, Streamable HTTP). */
static unsigned int status_of(const struct mcp_session *s, const struct mcp_message *m)
{
	struct span code = m->kind == MCP_ERROR ? mcp_json_member(m->error, SPAN("code")) : NOTHING;

	if (s->setup.kind != MCP_SESSION_SHARED)
		return 200;
	if (span_eq(code, SPAN("-32601")))
		return 404;
	if (span_eq(code, SPAN("-32020")) || span_eq(code, SPAN("-32021")) || span_eq(code, SPAN("-32022")))
		return 400;
	return 200;
}

/* ---- passing on ---- */

/* Our id of a subscription in the response that ends it, or an empty span. */
static struct span subscription_of(const struct mcp_request *r, const struct mcp_message *m)
{
	if (r->method != MCP_METHOD_LISTEN)
		return NOTHING;
	return mcp_json_member(mcp_json_member(m->result, SPAN("_meta")),
			       SPAN("io.modelcontextprotocol/subscriptionId"));
}

/* Which items of a list the client gets. */
struct keep_context {
	struct mcp_session *session;
	const struct mcp_request *request;
	bool has_owners;
};

static bool shows(void *context, uint32_t target, struct span name)
{
	const struct keep_context *keep = context;

	return mcp_access_shows(keep->session, keep->request->access, keep->request->method, target, name);
}

/* The result as the client gets it; is_changed: the text has it. 0, or as mcp_merge_list(). */
static int write_result(struct mcp_session *s, const struct mcp_sub_request *sub_request, struct span result,
			struct text *to, bool *ret_is_changed)
{
	const struct mcp_request *r = sub_request->request;
	struct keep_context keep = { s, r, false };
	const struct mcp_merge_filter filter = { shows, &keep };

	*ret_is_changed = false;
	if (r->access && mcp_merge_list_key(r->method).len) {
		*ret_is_changed = true;
		return mcp_merge_filter_list(to, r->method, sub_request->target, result, &filter);
	}
	if (mcp_names_prefix_uris(&s->setup.names) && !r->is_plain)
		*ret_is_changed = mcp_rewrite_result(to, r->method, result,
						     s->setup.names.targets[sub_request->target]);
	return 0;
}

/* Sends a target's response to the client, with the client's id and with prefixed names. */
static void pass_on(struct mcp_session *s, struct mcp_sub_request *sub_request, const struct mcp_message *m,
		    uint64_t now_ms)
{
	struct mcp_request *r = sub_request->request;
	struct mcp_patch splice = mcp_patch_of(m->text);
	struct span subscription = subscription_of(r, m);
	struct iovec segments[MCP_SEGMENTS];
	struct mcp_out out = {
		.segments = segments,
		.kind = m->kind,
		.method = r->method_text,
		.name = r->name,
		.status = status_of(s, m),
		.why = m->kind == MCP_ERROR ? mcp_json_string(mcp_json_member(m->error, SPAN("message")))
					    : NOTHING,
	};
	bool is_changed = false;
	struct text result;
	int error = 0;

	text_init(&result);
	mcp_patch_edit(&splice, m->id, r->id);
	if (subscription.len)
		mcp_patch_edit(&splice, subscription, r->id);
	else if (m->kind == MCP_RESULT)
		error = write_result(s, sub_request, m->result, &result, &is_changed);
	if (is_changed)
		mcp_patch_edit(&splice, m->result, text_span(&result));
	if (error || text_error(&result)) {
		mcp_request_fail(s, r, error == -EBADMSG ? MCP_TARGET_PROTOCOL_ERROR : MCP_NO_MEMORY, NOTHING,
				 now_ms);
	} else {
		out.count = mcp_patch_segments(&splice, segments, &out.bytes);
		mcp_send_client(s, r, &out, now_ms);
		mcp_request_end(s, r);
	}
	text_done(&result);
}

/* Sends the error of one target as the response to the whole request. */
static void pass_error(struct mcp_session *s, struct mcp_request *r, struct mcp_sub_request *sub_request,
		       uint64_t now_ms)
{
	struct mcp_post post;

	if (mcp_post_read(s->setup.checker, sub_request->answer, &post) == MCP_NONE && r->stream)
		pass_on(s, sub_request, &post.first, now_ms);
	else
		mcp_request_fail(s, r, MCP_NO_MEMORY, NOTHING, now_ms);
}

/* ---- initialize ---- */

/* Checks the parts of an initialize result that we use. */
static bool is_initialize_result(struct span result)
{
	enum mcp_json_type capabilities = mcp_json_type(mcp_json_member(result, SPAN("capabilities")));

	return mcp_json_type(result) == MCP_JSON_OBJECT &&
	       mcp_json_string(mcp_json_member(result, SPAN("protocolVersion"))).len > 0 &&
	       (capabilities == MCP_JSON_OBJECT || capabilities == MCP_JSON_NONE);
}

static uint8_t capabilities_of(struct span result)
{
	static const struct span names[] = {
		SPAN("tools"), SPAN("prompts"), SPAN("resources"), SPAN("tasks"), SPAN("logging"),
	};
	struct span told = mcp_json_member(result, SPAN("capabilities"));
	unsigned int capabilities = 0;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		capabilities |= (unsigned int)(mcp_json_member(told, names[i]).len > 0) << i;
	return (uint8_t)capabilities;
}

static void note_versions(struct mcp_session *s, const struct mcp_request *r)
{
	s->version = MCP_VERSION_NONE;
	for (uint32_t i = 0; i < r->sub_request_count; i++) {
		const struct mcp_sub_request *sub_request = &r->sub_requests[i];
		struct span text =
			mcp_json_string(mcp_json_member(sub_request->answer, SPAN("protocolVersion")));
		enum mcp_version version = mcp_version_of(text);

		if (sub_request->is_error) {
			s->targets[sub_request->target].is_lost = true;
			continue;
		}
		s->targets[sub_request->target].version = version;
		s->targets[sub_request->target].capabilities = capabilities_of(sub_request->answer);
		if (s->version == MCP_VERSION_NONE || (version && version < s->version))
			s->version = version;
	}
	s->state = MCP_SESSION_READY;
	s->open_ms = 0;
}

static void finish_open(struct mcp_session *s, struct mcp_request *r, uint64_t now_ms)
{
	note_versions(s, r);
	mcp_request_end(s, r);
	for (uint32_t i = 0; i < s->setup.names.count; i++)
		mcp_send_target_text(s, i, MCP_NOTIFICATION, mcp_method_text(MCP_METHOD_INITIALIZED),
				     SPAN("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}"));
	mcp_session_resume_held(s, now_ms);
}

/* ---- merging ---- */

static uint32_t good_answers(const struct mcp_request *r, struct mcp_answer *ret_answers)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < r->sub_request_count; i++) {
		if (!r->sub_requests[i].is_error && r->sub_requests[i].answer.len)
			ret_answers[count++] =
				(struct mcp_answer){ r->sub_requests[i].target, r->sub_requests[i].answer };
	}
	return count;
}

/* Without prefixes the first target with a name owns it, whether the client may use it or not. */
static bool keeps(void *context, uint32_t target, struct span name)
{
	struct keep_context *keep = context;
	const struct mcp_request *r = keep->request;
	bool is_prompt = r->method == MCP_METHOD_PROMPTS_LIST;

	if (keep->has_owners && mcp_owners_learn(&keep->session->owners, is_prompt, name, target) != target)
		return false;
	return mcp_access_shows(keep->session, r->access, r->method, target, name);
}

static int merge(struct mcp_session *s, const struct mcp_request *r, struct text *to,
		 const struct mcp_answer *answers, uint32_t count)
{
	const struct mcp_names *names = &s->setup.names;
	bool has_names = r->method == MCP_METHOD_TOOLS_LIST || r->method == MCP_METHOD_PROMPTS_LIST;
	struct keep_context keep = { s, r, has_names && !mcp_names_prefix_tools(names) };
	struct mcp_merge_filter filter = { keeps, &keep };

	switch (r->gather) {
	case MCP_GATHER_LIST:
		return mcp_merge_list(to, names, r->method, answers, count,
				      s->setup.kind == MCP_SESSION_SHARED,
				      keep.has_owners || r->access ? &filter : NULL);
	case MCP_GATHER_INITIALIZE:
		if (names->count > 1)
			return mcp_merge_initialize(to, names, answers, count, s->setup.server_name,
						    s->setup.server_version);
		text_add(to, answers[0].result);
		return 0;
	case MCP_GATHER_DISCOVER:
		return mcp_merge_discover(to, names, answers, count, s->setup.server_name,
					  s->setup.server_version);
	case MCP_GATHER_LISTEN:
		text_fmt(to, "{\"resultType\":\"complete\",\"_meta\":{\"io.modelcontextprotocol/"
			     "subscriptionId\":");
		text_add(to, r->id);
		text_str(to, "}}");
		return 0;
	default:
		text_str(to, "{}");
		return 0;
	}
}

static void finish_merged(struct mcp_session *s, struct mcp_request *r, uint64_t now_ms)
{
	struct mcp_answer answers[LIMIT_MCP_TARGETS];
	uint32_t count = good_answers(r, answers);
	bool is_opening = r->gather == MCP_GATHER_INITIALIZE;
	struct text text;
	int error;

	text_init(&text);
	error = merge(s, r, &text, answers, count);
	if (!error)
		error = text_error(&text);
	if (is_opening && !error)
		note_versions(s, r);
	if (error) {
		mcp_request_fail(s, r, error == -ENOMEM ? MCP_NO_MEMORY : MCP_TARGET_PROTOCOL_ERROR, NOTHING,
				 now_ms);
	} else {
		mcp_send_result(s, r, text_span(&text), now_ms);
		mcp_request_end(s, r);
	}
	text_done(&text);
	if (is_opening && error)
		mcp_session_end(s, MCP_NO_TARGET, now_ms);
}

/* ---- the end of a request with several sub-requests ---- */

static bool is_opening(const struct mcp_request *r)
{
	return r->gather == MCP_GATHER_INITIALIZE || r->gather == MCP_GATHER_OPEN ||
	       r->gather == MCP_GATHER_REJOIN;
}

/*
 * The error that fails the request, or NULL. With failOpen one success is enough; without it, a target that
 * does not know the method does not fail the request if another one succeeds.
 */
static struct mcp_sub_request *invalid_sub_request(const struct mcp_session *s, struct mcp_request *r)
{
	bool may_lack = !is_opening(r);
	struct mcp_sub_request *lacking = NULL;
	struct mcp_sub_request *bad = NULL;
	uint32_t good = 0;

	for (uint32_t i = 0; i < r->sub_request_count; i++) {
		struct mcp_sub_request *sub_request = &r->sub_requests[i];

		good += !sub_request->is_error;
		if (sub_request->is_error && sub_request->is_unknown_method && may_lack)
			lacking = sub_request;
		else if (sub_request->is_error && !bad)
			bad = sub_request;
	}
	if (good)
		return s->setup.fail_open ? NULL : bad;
	return bad ? bad : lacking;
}

/*
 * Copies the note first, because mcp_request_fail() frees it. Of our own initialize, the note is for the post
 * that waits for it.
 */
static void fail_with_note(struct mcp_session *s, struct mcp_request *r, enum mcp_fault fault,
			   uint64_t now_ms)
{
	char text[LIMIT_MCP_REASON_BYTES + 128];
	struct span why = span_first(r->why, sizeof(text));

	if (why.len)
		memcpy(text, why.data, why.len);
	if (r->gather == MCP_GATHER_OPEN && s->held_sink)
		mcp_session_fail_held(s, fault, span_of(text, why.len), now_ms);
	mcp_request_fail(s, r, fault, span_of(text, why.len), now_ms);
}

/* The target takes part again, or is lost at the end of this turn and will be restarted. */
static void finish_rejoin(struct mcp_session *s, struct mcp_request *r, uint64_t now_ms)
{
	const struct mcp_sub_request *sub_request = &r->sub_requests[0];
	uint32_t target = sub_request->target;
	struct mcp_session_target *t = &s->targets[target];

	t->is_joining = false;
	if (sub_request->is_error) {
		t->is_failing = !t->is_lost;
		s->is_failing |= t->is_failing;
		mcp_request_end(s, r);
		return;
	}
	t->version = mcp_version_of(
		mcp_json_string(mcp_json_member(sub_request->answer, SPAN("protocolVersion"))));
	t->capabilities = capabilities_of(sub_request->answer);
	mcp_request_end(s, r);
	mcp_send_target_text(s, target, MCP_NOTIFICATION, mcp_method_text(MCP_METHOD_INITIALIZED),
			     SPAN("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}"));
	if (s->setup.watch)
		s->setup.watch->came_back(s->setup.context, target);
	mcp_session_tell_changed(s, target, now_ms);
}

void mcp_session_finish(struct mcp_session *s, struct mcp_request *r, uint64_t now_ms)
{
	bool ends = is_opening(r);
	struct mcp_sub_request *bad;

	if (r->gather == MCP_GATHER_REJOIN) {
		finish_rejoin(s, r, now_ms);
		return;
	}
	if (r->gather == MCP_GATHER_OWNER) {
		mcp_session_finish_owner(s, r, now_ms);
		return;
	}
	bad = invalid_sub_request(s, r);
	if (!bad) {
		if (r->gather == MCP_GATHER_OPEN)
			finish_open(s, r, now_ms);
		else
			finish_merged(s, r, now_ms);
		return;
	}
	if (bad->answer.len && r->stream)
		pass_error(s, r, bad, now_ms);
	else
		fail_with_note(s, r, bad->is_malformed ? MCP_TARGET_PROTOCOL_ERROR : MCP_TARGET_LOST, now_ms);
	if (ends)
		mcp_session_end(s, MCP_NO_TARGET, now_ms);
}

static void sub_request_ended(struct mcp_session *s, struct mcp_sub_request *sub_request, uint64_t now_ms)
{
	struct mcp_request *r = sub_request->request;

	if (r->waiting == 0)
		mcp_session_finish(s, r, now_ms);
	else if (r->gather == MCP_GATHER_LISTEN)
		mcp_session_check_acknowledged(s, r, now_ms);
	else if (is_opening(r) && s->setup.fail_open && !sub_request->is_error)
		mcp_session_open_within(s, LIMIT_MCP_OPEN_MS, now_ms);
}

/* A tool whose result contains isError has failed, as one whose response is an error. */
static bool is_failed_tool(const struct mcp_request *r, const struct mcp_message *m)
{
	return r->gather == MCP_PASS && r->method == MCP_METHOD_TOOLS_CALL &&
	       span_eq(mcp_json_member(m->result, SPAN("isError")), SPAN("true"));
}

static void note_list(struct mcp_session *s, const struct mcp_sub_request *sub_request, struct span result)
{
	const struct mcp_request *r = sub_request->request;
	bool is_owner = r->gather == MCP_GATHER_OWNER;
	enum mcp_method method = !is_owner			      ? r->method
				 : r->method == MCP_METHOD_TOOLS_CALL ? MCP_METHOD_TOOLS_LIST
								      : MCP_METHOD_PROMPTS_LIST;

	if (s->setup.watch && (method == MCP_METHOD_TOOLS_LIST || method == MCP_METHOD_PROMPTS_LIST))
		s->setup.watch->listed(s->setup.context, sub_request->target,
				       method == MCP_METHOD_PROMPTS_LIST,
				       mcp_json_member(result, mcp_merge_list_key(method)));
}

/* A target that could not be initialized. */
static void gave_up(struct mcp_session *s, const struct mcp_sub_request *sub_request, struct span why)
{
	struct text text;

	if (s->setup.watch)
		s->setup.watch->gave_up(s->setup.context, sub_request->target, why);
	text_init(&text);
	mcp_session_reason(s, sub_request->target, why, &text);
	mcp_request_note(s, sub_request->request, text_span(&text));
	text_done(&text);
}

void mcp_session_take_answer(struct mcp_session *s, struct mcp_sub_request *sub_request,
			     const struct mcp_message *m, uint64_t now_ms)
{
	struct mcp_request *r = sub_request->request;
	bool is_error = m->kind == MCP_ERROR;
	int error;

	if (!is_error)
		note_list(s, sub_request, m->result);
	sub_request_done(s, sub_request, is_error || is_failed_tool(r, m));
	if (is_opening(r) && is_error)
		gave_up(s, sub_request, mcp_json_string(mcp_json_member(m->error, SPAN("message"))));
	if (r->gather == MCP_PASS) {
		pass_on(s, sub_request, m, now_ms);
		return;
	}
	if (r->gather == MCP_GATHER_OWNER) {
		if (is_error || !mcp_session_take_page(s, sub_request, m))
			sub_request_ended(s, sub_request, now_ms);
		return;
	}
	if (!is_error && is_opening(r) && !is_initialize_result(m->result)) {
		sub_request->is_malformed = true;
		sub_request->is_error = true;
		gave_up(s, sub_request, SPAN("its answer to initialize has no version or no capabilities"));
		sub_request_ended(s, sub_request, now_ms);
		return;
	}
	sub_request->is_unknown_method = is_error && is_unknown_method(m->error);
	error = mcp_sub_request_keep(s, sub_request, is_error ? m->text : m->result);
	if (error && r->gather == MCP_GATHER_REJOIN) {
		sub_request->is_error = true;
	} else if (error) {
		bool ends = is_opening(r);

		mcp_request_fail(s, r, error == -ENOMEM ? MCP_NO_MEMORY : MCP_TARGET_PROTOCOL_ERROR, NOTHING,
				 now_ms);
		if (ends)
			mcp_session_end(s, MCP_NO_TARGET, now_ms);
		return;
	}
	sub_request_ended(s, sub_request, now_ms);
}

void mcp_session_lose_sub_request(struct mcp_session *s, struct mcp_sub_request *sub_request,
				  struct span reason, uint64_t now_ms)
{
	struct mcp_request *r = sub_request->request;
	struct text why;

	text_init(&why);
	mcp_session_reason(s, sub_request->target, reason, &why);
	if (s->setup.watch && !s->targets[sub_request->target].is_lost)
		s->setup.watch->failed(s->setup.context, sub_request->target, reason);
	sub_request_done(s, sub_request, true);
	if (r->gather == MCP_PASS) {
		mcp_request_fail(s, r, MCP_TARGET_LOST, text_span(&why), now_ms);
	} else {
		mcp_request_note(s, r, text_span(&why));
		sub_request_ended(s, sub_request, now_ms);
	}
	text_done(&why);
}

/* ---- subscriptions to several targets ---- */

void mcp_session_check_acknowledged(struct mcp_session *s, struct mcp_request *r, uint64_t now_ms)
{
	struct mcp_answer answers[LIMIT_MCP_TARGETS];
	struct text text;

	for (uint32_t i = 0; i < r->sub_request_count; i++) {
		if (r->sub_requests[i].id && r->sub_requests[i].answer.len == 0)
			return;
	}
	if (r->is_acknowledged)
		return;
	r->is_acknowledged = true;
	text_init(&text);
	text_str(&text, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/"
			"acknowledged\",\"params\":");
	mcp_merge_acknowledged(&text, &s->setup.names, answers, good_answers(r, answers), r->id);
	text_char(&text, '}');
	if (!text_error(&text)) {
		struct iovec segment = { .iov_base = text.data, .iov_len = text.len };
		struct mcp_out out = {
			.segments = &segment,
			.count = 1,
			.bytes = text.len,
			.kind = MCP_NOTIFICATION,
			.method = mcp_method_text(MCP_METHOD_ACKNOWLEDGED),
			.status = 200,
		};

		mcp_send_client(s, r, &out, now_ms);
	}
	text_done(&text);
}

void mcp_session_take_acknowledged(struct mcp_session *s, struct mcp_sub_request *sub_request,
				   const struct mcp_message *m, uint64_t now_ms)
{
	if (sub_request->answer.len || !m->params.len)
		return;
	/* The others must not wait for one whose acknowledgement cannot be kept. */
	if (mcp_sub_request_keep(s, sub_request, m->params) == 0)
		mcp_session_check_acknowledged(s, sub_request->request, now_ms);
	else
		mcp_session_lose_sub_request(s, sub_request, SPAN("its acknowledgement is too large"),
					     now_ms);
}
