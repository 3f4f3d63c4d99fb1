/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/origin/websocket.h"

#include <stdio.h>
#include <string.h>

#define FRAME_HEAD_MAX 14u
#define CONTROL_MAX 125u
#define CLOSE_PROTOCOL_ERROR 1002u

enum opcode { OP_CONTINUATION = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

struct websocket_state {
	uint64_t left; /* rest of the payload of the current data frame */
	uint64_t masked; /* payload bytes unmasked so far */
	unsigned char mask[4];
	bool is_in_message; /* a fragmented message continues */
};

struct frame {
	size_t head_size;
	uint64_t size;
	unsigned opcode;
	bool is_final;
	unsigned char mask[4];
};

void websocket_accept(struct text key, char ret[SHA1_BASE64_BYTES])
{
	static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	char text[24 + sizeof(magic) - 1];

	memcpy(text, key.at, 24);
	memcpy(text + 24, magic, sizeof(magic) - 1);
	sha1_base64((struct text){ text, sizeof(text) }, ret);
}

static void frame_head(struct buffer *out, bool is_final, unsigned opcode, uint64_t size)
{
	unsigned char head[10] = { (unsigned char)((is_final ? 0x80 : 0) | opcode) };
	size_t bytes = size < 126 ? 0 : size < 65536 ? 2 : 8;

	head[1] = bytes == 0 ? (unsigned char)size : bytes == 2 ? 126 : 127;
	for (size_t i = 0; i < bytes; i++)
		head[2 + i] = (unsigned char)(size >> (8 * (bytes - 1 - i)));
	buffer_add(out, head, 2 + bytes);
}

void websocket_push(struct conn *conn, uint64_t number)
{
	char text[24];
	int size = snprintf(text, sizeof(text), "%llu", (unsigned long long)number);

	frame_head(&conn->out, true, OP_TEXT, (uint64_t)size);
	buffer_add(&conn->out, text, (size_t)size);
}

static void close_send(struct conn *conn, unsigned code)
{
	unsigned char payload[2] = { (unsigned char)(code >> 8), (unsigned char)code };

	frame_head(&conn->out, true, OP_CLOSE, sizeof(payload));
	buffer_add(&conn->out, payload, sizeof(payload));
	conn_end(conn, END_GRACEFUL, 0);
}

/* 1: a complete frame head; 0: more bytes needed; -1: invalid. */
static int frame_parse(struct text input, bool is_in_message, struct frame *ret)
{
	const unsigned char *at = (const unsigned char *)input.at;
	struct frame frame = { 0 };
	size_t bytes;

	if (input.size < 2)
		return 0;
	frame.is_final = at[0] >> 7;
	frame.opcode = at[0] & 15;
	frame.size = at[1] & 127;
	bytes = frame.size == 126 ? 2 : frame.size == 127 ? 8 : 0;
	frame.head_size = 2 + bytes + 4;
	if ((at[0] & 0x70) != 0 || !(at[1] & 0x80))
		return -1;
	if (frame.opcode > OP_BINARY && (frame.opcode < OP_CLOSE || frame.opcode > OP_PONG))
		return -1;
	if (frame.opcode >= OP_CLOSE ? (!frame.is_final || bytes > 0)
				     : (frame.opcode == OP_CONTINUATION) != is_in_message)
		return -1;
	if (input.size < frame.head_size)
		return 0;
	if (bytes > 0)
		frame.size = 0;
	for (size_t i = 0; i < bytes; i++)
		frame.size = frame.size << 8 | at[2 + i];
	if ((bytes == 2 && frame.size < 126) || (bytes == 8 && (frame.size < 65536 || frame.size >> 63)))
		return -1;
	memcpy(frame.mask, at + 2 + bytes, 4);
	*ret = frame;
	return 1;
}

static void payload_unmask(struct websocket_state *state, char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		data[i] = (char)(data[i] ^ state->mask[(state->masked + i) & 3]);
	state->masked += size;
}

static bool payload_step(struct conn *conn, struct websocket_state *state)
{
	struct text input = conn_input(conn);
	size_t size = input.size < state->left ? input.size : (size_t)state->left;
	char *copy;

	if (size == 0 || !buffer_reserve(&conn->out, size))
		return false;
	copy = conn->out.data + conn->out.end;
	memcpy(copy, input.at, size);
	payload_unmask(state, copy, size);
	conn->out.end += size;
	state->left -= size;
	conn_take(conn, size);
	return true;
}

static bool control_step(struct conn *conn, struct websocket_state *state, const struct frame *frame)
{
	struct text input = conn_input(conn);
	char payload[CONTROL_MAX];
	size_t size = (size_t)frame->size;

	if (input.size < frame->head_size + size)
		return false;
	memcpy(payload, input.at + frame->head_size, size);
	memcpy(state->mask, frame->mask, 4);
	state->masked = 0;
	payload_unmask(state, payload, size);
	conn_take(conn, frame->head_size + size);
	if (frame->opcode == OP_PONG)
		return true;
	if (frame->opcode == OP_CLOSE && size == 1) {
		close_send(conn, CLOSE_PROTOCOL_ERROR);
		return true;
	}
	frame_head(&conn->out, true, frame->opcode == OP_PING ? OP_PONG : OP_CLOSE, size);
	buffer_add(&conn->out, payload, size);
	if (frame->opcode == OP_CLOSE)
		conn_end(conn, END_GRACEFUL, 0);
	return true;
}

bool websocket_step(struct conn *conn)
{
	struct websocket_state *state = CONN_STATE(conn, struct websocket_state);
	struct frame frame;

	if (!conn_out_has_capacity(conn))
		return false;
	if (state->left > 0 && payload_step(conn, state))
		return true;
	if (conn->in_eof && state->left == 0 && buffer_size(&conn->in) == 0) {
		conn_end(conn, END_GRACEFUL, 0);
		return true;
	}
	if (state->left == 0) {
		switch (frame_parse(conn_input(conn), state->is_in_message, &frame)) {
		case -1:
			close_send(conn, CLOSE_PROTOCOL_ERROR);
			return true;
		case 1:
			if (frame.opcode >= OP_CLOSE) {
				if (control_step(conn, state, &frame))
					return true;
				break;
			}
			frame_head(&conn->out, frame.is_final, frame.opcode, frame.size);
			memcpy(state->mask, frame.mask, 4);
			state->masked = 0;
			state->left = frame.size;
			state->is_in_message = !frame.is_final;
			conn_take(conn, frame.head_size);
			return true;
		}
	}
	if (!conn->in_eof)
		return false;
	conn_end(conn, END_GRACEFUL, 0);
	return true;
}
