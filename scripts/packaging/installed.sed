# Pages as `make install` puts them beside each other: without what is about the source tree, and with links that lead to
# what is installed.
/^<!-- source tree only -->$/,/^<!-- end of source tree only -->$/d
/^<!-- .* -->$/d
s|\]\(\.\./docs/|](|g
s|\.\./config/README\.md|configuration.md|g
s|\.\./config/examples|examples|g
s|scripts/packaging/kubernetes|../kubernetes|g
s|\[([^]]*)\]\((\.\./)+PERFORMANCE\.md[^)]*\)|\1 (in the source tree)|g
