// SPDX-License-Identifier: Apache-2.0
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.URL;
import java.security.MessageDigest;
import java.util.concurrent.Executors;

/** A server and a client with Java's standard library: `serve PORT`, `ask URL`. */
public class Neighbour {
	static final byte[] BIG = new byte[4 << 20];

	static String sha256(byte[] bytes) throws Exception {
		StringBuilder text = new StringBuilder();
		for (byte b : MessageDigest.getInstance("SHA-256").digest(bytes))
			text.append(String.format("%02x", b));
		return text.toString();
	}

	static void reply(HttpExchange exchange, byte[] body, int count, int length) throws IOException {
		exchange.sendResponseHeaders(200, length);
		exchange.getResponseBody().write(body, 0, count);
		exchange.close();
	}

	static void serve(HttpExchange exchange) throws IOException {
		byte[] small = "small\n".getBytes();
		String path = exchange.getRequestURI().getPath();
		try {
			if (exchange.getRequestMethod().equals("PUT"))
				small = (sha256(exchange.getRequestBody().readAllBytes()) + "\n").getBytes();
		} catch (Exception e) {
			throw new IOException(e);
		}
		if (path.equals("/big"))
			reply(exchange, BIG, BIG.length, BIG.length);
		else if (path.equals("/cut"))
			reply(exchange, BIG, 100000, 1000000);
		else
			reply(exchange, small, small.length, small.length);
	}

	static byte[] exchange(String method, String url, byte[] body) throws IOException {
		HttpURLConnection connection = (HttpURLConnection) new URL(url).openConnection();
		connection.setRequestMethod(method);
		if (body != null) {
			connection.setDoOutput(true);
			connection.setFixedLengthStreamingMode(body.length);
			connection.getOutputStream().write(body);
		}
		try (InputStream in = connection.getInputStream()) {
			return in.readAllBytes();
		}
	}

	static void ask(String url) throws Exception {
		int small = 0;
		for (int i = 0; i < 20; i++)
			small += new String(exchange("GET", url + "/small", null)).equals("small\n") ? 1 : 0;
		System.out.println("small " + small);
		System.out.println("big " + sha256(exchange("GET", url + "/big", null)));
		System.out.println("sum " + new String(exchange("PUT", url + "/sum", BIG)).trim());
		try {
			System.out.println("cut " + exchange("GET", url + "/cut", null).length);
		} catch (IOException e) {
			System.out.println("cut: seen");
		}
	}

	public static void main(String[] args) throws Exception {
		for (int i = 0; i < BIG.length; i++)
			BIG[i] = (byte) ((i & 0xffff) * 31 + ((i & 0xffff) >> 8));
		if (args[0].equals("ask")) {
			ask(args[1]);
			return;
		}
		HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[1])), 64);
		server.createContext("/", Neighbour::serve);
		server.setExecutor(Executors.newCachedThreadPool());
		server.start();
	}
}
