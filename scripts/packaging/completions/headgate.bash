# SPDX-License-Identifier: Apache-2.0
_headgate() {
	local word=$2 before=$3 command= words=
	COMPREPLY=()
	if ((COMP_CWORD > 1)); then
		case ${COMP_WORDS[1]} in check-request|convert|explain|lanes|lint|schema|top|status|upgrade|bpf) command=${COMP_WORDS[1]} ;; esac
	fi
	case $command,$before in
	,-f|,--file) compopt -o filenames && mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
	,--kubeconfig) compopt -o filenames && mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
	,--kubernetes-copy) compopt -o filenames && mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
	,--gateway-addresses) return ;;
	,--status-addresses) return ;;
	,--log-level) mapfile -t COMPREPLY < <(compgen -W 'error warn info debug' -- "$word"); return ;;
	,--log-format) mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$word"); return ;;
	,--restart-limit) return ;;
	check-request,-f|check-request,--file) compopt -o filenames && mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
	check-request,-H|check-request,--header) return ;;
	check-request,--source) return ;;
	check-request,--destination) return ;;
	explain,-f|explain,--file) compopt -o filenames && mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
	lanes,--admin) return ;;
	lint,-f|lint,--file) compopt -o filenames && mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
	top,--admin) return ;;
	top,--interval) return ;;
	status,-f|status,--file) compopt -o filenames && mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
	bpf,--pin) compopt -o filenames && mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
	bpf,--slots) return ;;
	bpf,--workers) return ;;
	bpf,--user) return ;;
	esac
	case $command in
	'') words='-f --file --kubernetes --kubeconfig --kubernetes-copy --gateway-addresses --gateway-services --status-addresses --validate-only --strict --log-level --log-format --no-keeper --restart-limit -V --version -h --help' ;;
	check-request) words='-f --file -H --header --source --destination --json -h --help' ;;
	convert) words='-h --help' ;;
	explain) words='-f --file --json -h --help route' ;;
	lanes) words='--json --admin -h --help' ;;
	lint) words='-f --file -h --help' ;;
	schema) words='-h --help' ;;
	top) words='--admin --interval --once -h --help' ;;
	status) words='-f --file --json -h --help' ;;
	upgrade) words='-h --help' ;;
	bpf) words='--pin --slots --workers --user -h --help load status unload' ;;
	esac
	((COMP_CWORD == 1)) && words+=' check-request convert explain lanes lint schema top status upgrade bpf'
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
	[[ $command == convert ]] && compopt -o filenames && mapfile -t COMPREPLY < <(compgen -f -- "$word")
	return 0
}
complete -F _headgate headgate
