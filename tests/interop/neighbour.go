// SPDX-License-Identifier: Apache-2.0

// A server and a client with Go's net/http: `serve PORT`, `ask URL`.
package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
)

const size = 4 << 20

var big = make([]byte, size)

func reply(w http.ResponseWriter, body []byte, length int) {
	w.Header().Set("Content-Length", strconv.Itoa(length))
	w.Write(body)
}

func serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == "PUT":
		digest := sha256.New()
		io.Copy(digest, r.Body)
		text := []byte(fmt.Sprintf("%x\n", digest.Sum(nil)))
		reply(w, text, len(text))
	case r.URL.Path == "/big":
		reply(w, big, size)
	case r.URL.Path == "/cut":
		reply(w, big[:100000], 1000000)
	default:
		reply(w, []byte("small\n"), 6)
	}
}

func exchange(method, url string, body []byte) ([]byte, error) {
	request, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}

func must(method, url string, body []byte) []byte {
	answer, err := exchange(method, url, body)
	if err != nil {
		fmt.Println(method, err)
		os.Exit(1)
	}
	return answer
}

func ask(url string) {
	count := 0
	for i := 0; i < 20; i++ {
		if string(must("GET", url+"/small", nil)) == "small\n" {
			count++
		}
	}
	fmt.Println("small", count)
	fmt.Printf("big %x\n", sha256.Sum256(must("GET", url+"/big", nil)))
	fmt.Printf("sum %s", must("PUT", url+"/sum", big))
	cut, err := exchange("GET", url+"/cut", nil)
	if err != nil {
		fmt.Println("cut: seen")
	} else {
		fmt.Println("cut", len(cut))
	}
}

func main() {
	for i := range big {
		big[i] = byte((i&0xffff)*31 + (i&0xffff)>>8)
	}
	if os.Args[1] == "ask" {
		ask(os.Args[2])
		return
	}
	fmt.Println(http.ListenAndServe("127.0.0.1:"+os.Args[2], http.HandlerFunc(serve)))
}
