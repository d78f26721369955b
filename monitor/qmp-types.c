/* QMP's named types and its events: the facts of QEMU 7.2's interface, in the notation of qmp-schema.h. */
#include "monitor/monitor-int.h"
#include "monitor/qmp-schema.h"

#define SHUTDOWN_CAUSES "<none|host-error|host-qmp-quit|host-qmp-system-reset|host-signal|host-ui|guest-shutdown|guest-reset|" \
    "guest-panic|subsystem-reset|snapshot-load>"

const QmpTypeRow qmp_types[] = {
    { "RunState", "<debug|inmigrate|internal-error|io-error|paused|postmigrate|prelaunch|finish-migrate|restore-vm|running|save-vm|"
      "shutdown|suspended|watchdog|guest-panicked|colo>" },
    { "StatusInfo", "{running:bool singlestep:bool status:RunState}" },
    { "ShutdownCause", SHUTDOWN_CAUSES },
    { "RebootAction", "<reset|shutdown>" },
    { "ShutdownAction", "<poweroff|pause>" },
    { "PanicAction", "<pause|shutdown|exit-failure|none>" },
    { "WatchdogAction", "<reset|shutdown|poweroff|pause|debug|none|inject-nmi>" },
    { "VersionInfo", "{qemu:{major:int minor:int micro:int} package:str}" },
    { "SysEmuTarget", "<aarch64|alpha|arm|avr|cris|hppa|i386|loongarch64|m68k|microblaze|microblazeel|mips|mips64|mips64el|mipsel|"
      "nios2|or1k|ppc|ppc64|riscv32|riscv64|rx|s390x|sh4|sh4eb|sparc|sparc64|tricore|x86_64|xtensa|xtensaeb>" },
    { "MachineInfo", "{name:str *alias:str *is-default:bool cpu-max:int hotpluggable-cpus:bool numa-mem-supported:bool "
      "deprecated:bool *default-cpu-type:str *default-ram-id:str}" },
    { "CpuInstanceProperties", "{*node-id:int *socket-id:int *die-id:int *cluster-id:int *core-id:int *thread-id:int}" },
    { "CpuInfoFast", "{cpu-index:int qom-path:str thread-id:int *props:CpuInstanceProperties target:SysEmuTarget}" },
    { "HotpluggableCPU", "{type:str vcpus-count:int props:CpuInstanceProperties *qom-path:str}" },
    { "CpuDefinitionInfo", "{name:str *migration-safe:bool static:bool *unavailable-features:[str] typename:str *alias-of:str "
      "deprecated:bool}" },
    { "CpuModelInfo", "{name:str *props:any}" },
    { "ObjectPropertyInfo", "{name:str type:str *description:str *default-value:any}" },
    { "CommandLineParameterType", "<string|boolean|number|size>" },
    { "CommandLineOptionInfo", "{option:str parameters:[{name:str type:CommandLineParameterType *help:str *default:str}]}" },
    { "SchemaMetaType", "<builtin|enum|array|object|alternate|command|event>" },
    { "SchemaInfo", "{name:str meta-type:SchemaMetaType *features:[str] ?meta-type "
      "builtin={json-type:<string|number|int|boolean|null|object|array|value>} "
      "enum={members:[{name:str *features:[str]}] values:[str]} "
      "array={element-type:str} "
      "object={members:[{name:str type:str *default:any *features:[str]}] *tag:str *variants:[{case:str type:str}]} "
      "alternate={members:[{type:str}]} "
      "command={arg-type:str ret-type:str *allow-oob:bool} "
      "event={arg-type:str}}" },

    /* migration */
    { "MigrationStatus", "<none|setup|cancelling|cancelled|active|postcopy-active|postcopy-paused|postcopy-recover|completed|failed|"
      "colo|pre-switchover|device|wait-unplug>" },
    { "MigrationCapability", "<xbzrle|rdma-pin-all|auto-converge|zero-blocks|compress|events|postcopy-ram|x-colo|release-ram|block|"
      "return-path|pause-before-switchover|multifd|dirty-bitmaps|postcopy-blocktime|late-block-activate|x-ignore-shared|"
      "validate-uuid|background-snapshot|zero-copy-send|postcopy-preempt>" },
    { "MigrationCapabilityStatus", "{capability:MigrationCapability state:bool}" },
    { "MultiFDCompression", "<none|zlib|zstd>" },
    { "MigrationParameters", "{*announce-initial:int *announce-max:int *announce-rounds:int *announce-step:int *compress-level:int "
      "*compress-threads:int *compress-wait-thread:bool *decompress-threads:int *throttle-trigger-threshold:int "
      "*cpu-throttle-initial:int *cpu-throttle-increment:int *cpu-throttle-tailslow:bool *tls-creds:str *tls-hostname:str "
      "*tls-authz:str *max-bandwidth:int *downtime-limit:int *x-checkpoint-delay:int *block-incremental:bool "
      "*multifd-channels:int *xbzrle-cache-size:int *max-postcopy-bandwidth:int *max-cpu-throttle:int "
      "*multifd-compression:MultiFDCompression *multifd-zlib-level:int *multifd-zstd-level:int}" },
    { "MigrationStats", "{transferred:int remaining:int total:int duplicate:int skipped:int normal:int normal-bytes:int "
      "dirty-pages-rate:int mbps:num dirty-sync-count:int postcopy-requests:int page-size:int multifd-bytes:int "
      "pages-per-second:int precopy-bytes:int downtime-bytes:int postcopy-bytes:int dirty-sync-missed-zero-copy:int}" },
    { "XBZRLECacheStats", "{cache-size:int bytes:int pages:int cache-miss:int cache-miss-rate:num encoding-rate:num overflow:int}" },
    { "MigrationInfo", "{*status:MigrationStatus *ram:MigrationStats *xbzrle-cache:XBZRLECacheStats *total-time:int "
      "*expected-downtime:int *downtime:int *setup-time:int *cpu-throttle-percentage:int *error-desc:str *blocked-reasons:[str]}" },

    /* chardevs */
    { "ChardevInfo", "{label:str filename:str frontend-open:bool}" },
    { "FdsetInfo", "{fdset-id:int fds:[{fd:int *opaque:str}]}" },
    { "SocketAddressLegacy", "{type:<inet|unix|vsock|fd> ?type "
      "inet={data:{host:str port:str *numeric:bool *to:int *ipv4:bool *ipv6:bool}} "
      "unix={data:{path:str *abstract:bool *tight:bool}} vsock={data:{cid:str port:str}} fd={data:{str:str}}}" },
    { "ChardevHostdev", "{data:{*logfile:str *logappend:bool device:str}}" },
    { "ChardevPlain", "{data:{*logfile:str *logappend:bool}}" },
    { "ChardevBackend", "{type:<file|serial|parallel|pipe|socket|udp|pty|null|mux|stdio|console|vc|ringbuf|memory> ?type "
      "file={data:{*logfile:str *logappend:bool *in:str out:str *append:bool}} "
      "serial=ChardevHostdev parallel=ChardevHostdev pipe=ChardevHostdev "
      "socket={data:{*logfile:str *logappend:bool addr:SocketAddressLegacy *server:bool *wait:bool *nodelay:bool *telnet:bool "
      "*reconnect:int}} "
      "udp={data:{*logfile:str *logappend:bool remote:SocketAddressLegacy *local:SocketAddressLegacy}} "
      "pty=ChardevPlain null=ChardevPlain console=ChardevPlain "
      "mux={data:{*logfile:str *logappend:bool chardev:str}} "
      "stdio={data:{*logfile:str *logappend:bool *signal:bool}} "
      "vc={data:{*logfile:str *logappend:bool *width:int *height:int *cols:int *rows:int}} "
      "ringbuf={data:{*logfile:str *logappend:bool *size:int}} memory={data:{*logfile:str *logappend:bool *size:int}}}" },

    /* networks */
    { "SocketAddress", "{type:<inet|unix|vsock|fd> ?type "
      "inet={host:str port:str *numeric:bool *to:int *ipv4:bool *ipv6:bool *keep-alive:bool *mptcp:bool} "
      "unix={path:str *abstract:bool *tight:bool} vsock={cid:str port:str} fd={str:str}}" },
    { "RxState", "<normal|none|all>" },
    { "RxFilterInfo", "{name:str promiscuous:bool multicast:RxState unicast:RxState vlan:RxState broadcast-allowed:bool "
      "multicast-overflow:bool unicast-overflow:bool main-mac:str vlan-table:[int] unicast-table:[str] multicast-table:[str]}" },

    /* drives */
    { "BlockdevDetectZeroesOptions", "<off|on|unmap>" },
    { "SnapshotInfo", "{id:str name:str vm-state-size:int date-sec:int date-nsec:int vm-clock-sec:int vm-clock-nsec:int *icount:int}" },
    { "Qcow2BitmapInfo", "{name:str granularity:int flags:[<in-use|auto>]}" },
    { "ImageInfoSpecific", "{type:<qcow2|vmdk|luks|rbd> ?type "
      "qcow2={data:{compat:str *data-file:str *data-file-raw:bool *extended-l2:bool *lazy-refcounts:bool *corrupt:bool "
      "refcount-bits:int *encrypt:{format:<aes|luks> ...} *bitmaps:[Qcow2BitmapInfo] compression-type:<zlib|zstd>}} "
      "vmdk={data:{create-type:str cid:int parent-cid:int extents:[ImageInfo]}} luks={data:{...}} rbd={data:{...}}}" },
    { "ImageInfo", "{filename:str format:str *dirty-flag:bool *actual-size:int virtual-size:int *cluster-size:int *encrypted:bool "
      "*compressed:bool *backing-filename:str *full-backing-filename:str *backing-filename-format:str *snapshots:[SnapshotInfo] "
      "*backing-image:ImageInfo *format-specific:ImageInfoSpecific}" },
    { "BlockDirtyInfo", "{*name:str count:int granularity:int recording:bool busy:bool persistent:bool *inconsistent:bool}" },
    { "BlockDeviceInfo", "{file:str *node-name:str ro:bool drv:str *backing_file:str backing_file_depth:int encrypted:bool "
      "detect_zeroes:BlockdevDetectZeroesOptions bps:int bps_rd:int bps_wr:int iops:int iops_rd:int iops_wr:int image:ImageInfo "
      "*bps_max:int *bps_rd_max:int *bps_wr_max:int *iops_max:int *iops_rd_max:int *iops_wr_max:int *bps_max_length:int "
      "*bps_rd_max_length:int *bps_wr_max_length:int *iops_max_length:int *iops_rd_max_length:int *iops_wr_max_length:int "
      "*iops_size:int *group:str cache:{writeback:bool direct:bool no-flush:bool} write_threshold:int "
      "*dirty-bitmaps:[BlockDirtyInfo]}" },
    { "BlockInfo", "{device:str *qdev:str type:str removable:bool locked:bool *inserted:BlockDeviceInfo *tray_open:bool "
      "*io-status:<ok|failed|nospace>}" },
    { "BlockLatencyHistogramInfo", "{boundaries:[int] bins:[int]}" },
    { "BlockDeviceTimedStats", "{interval_length:int min_rd_latency_ns:int max_rd_latency_ns:int avg_rd_latency_ns:int "
      "min_wr_latency_ns:int max_wr_latency_ns:int avg_wr_latency_ns:int min_flush_latency_ns:int max_flush_latency_ns:int "
      "avg_flush_latency_ns:int avg_rd_queue_depth:num avg_wr_queue_depth:num}" },
    { "BlockDeviceStats", "{rd_bytes:int wr_bytes:int unmap_bytes:int rd_operations:int wr_operations:int flush_operations:int "
      "unmap_operations:int rd_total_time_ns:int wr_total_time_ns:int flush_total_time_ns:int unmap_total_time_ns:int "
      "wr_highest_offset:int rd_merged:int wr_merged:int unmap_merged:int *idle_time_ns:int failed_rd_operations:int "
      "failed_wr_operations:int failed_flush_operations:int failed_unmap_operations:int invalid_rd_operations:int "
      "invalid_wr_operations:int invalid_flush_operations:int invalid_unmap_operations:int account_invalid:bool account_failed:bool "
      "timed_stats:[BlockDeviceTimedStats] *rd_latency_histogram:BlockLatencyHistogramInfo "
      "*wr_latency_histogram:BlockLatencyHistogramInfo *flush_latency_histogram:BlockLatencyHistogramInfo}" },
    { "BlockStats", "{*device:str *qdev:str *node-name:str stats:BlockDeviceStats *driver-specific:{driver:str ...} "
      "*parent:BlockStats *backing:BlockStats}" },

    /* jobs */
    { "BlockdevOnError", "<report|ignore|enospc|stop|auto>" },
    { "JobStatus", "<undefined|created|running|paused|ready|standby|waiting|pending|aborting|concluded|null>" },
    { "JobType", "<commit|stream|mirror|backup|create|amend|snapshot-load|snapshot-save|snapshot-delete>" },
    { "JobInfo", "{id:str type:JobType status:JobStatus current-progress:int total-progress:int *error:str}" },
    { "BlockJobInfo", "{type:str device:str len:int offset:int busy:bool paused:bool speed:int io-status:<ok|failed|nospace> "
      "ready:bool status:JobStatus auto-finalize:bool auto-dismiss:bool *error:str}" },

    /* input */
    { "QKeyCode", "<unmapped|shift|shift_r|alt|alt_r|ctrl|ctrl_r|menu|esc|1|2|3|4|5|6|7|8|9|0|minus|equal|backspace|tab|q|w|e|r|t|y|"
      "u|i|o|p|bracket_left|bracket_right|ret|a|s|d|f|g|h|j|k|l|semicolon|apostrophe|grave_accent|backslash|z|x|c|v|b|n|m|comma|"
      "dot|slash|asterisk|spc|caps_lock|f1|f2|f3|f4|f5|f6|f7|f8|f9|f10|num_lock|scroll_lock|kp_divide|kp_multiply|kp_subtract|"
      "kp_add|kp_enter|kp_decimal|sysrq|kp_0|kp_1|kp_2|kp_3|kp_4|kp_5|kp_6|kp_7|kp_8|kp_9|less|f11|f12|print|home|pgup|pgdn|end|"
      "left|up|down|right|insert|delete|stop|again|props|undo|front|copy|open|paste|find|cut|lf|help|meta_l|meta_r|compose|pause|"
      "ro|hiragana|henkan|yen|muhenkan|katakanahiragana|kp_comma|kp_equals|power|sleep|wake|audionext|audioprev|audiostop|"
      "audioplay|audiomute|volumeup|volumedown|mediaselect|mail|calculator|computer|ac_home|ac_back|ac_forward|ac_refresh|"
      "ac_bookmarks|lang1|lang2>" },
    { "KeyValue", "{type:<number|qcode> ?type number={data:int} qcode={data:QKeyCode}}" },
    { "InputButton", "<left|middle|right|wheel-up|wheel-down|side|extra|wheel-left|wheel-right>" },
    { "InputMove", "{data:{axis:<x|y> value:int}}" },
    { "InputEvent", "{type:<key|btn|rel|abs> ?type key={data:{key:KeyValue down:bool}} btn={data:{button:InputButton down:bool}} "
      "rel=InputMove abs=InputMove}" },
    { "NetworkAddressFamily", "<ipv4|ipv6|unix|vsock|unknown>" },
    { "VncClientInfo", "{host:str service:str family:NetworkAddressFamily websocket:bool *x509_dname:str *sasl_username:str}" },
    { "VncInfo", "{enabled:bool *host:str *family:NetworkAddressFamily *service:str *auth:str *clients:[VncClientInfo]}" },
    { "VncPrimaryAuth", "<none|vnc|ra2|ra2ne|tight|ultra|tls|vencrypt|sasl>" },
    { "VncServerInfo2", "{host:str service:str family:NetworkAddressFamily websocket:bool auth:VncPrimaryAuth}" },
    { "VncInfo2", "{id:str server:[VncServerInfo2] clients:[VncClientInfo] auth:VncPrimaryAuth *display:str}" },
    { "MouseInfo", "{name:str index:int current:bool absolute:bool}" },
    { 0 },
};

const QmpEvent qmp_events[] = {
    { "BLOCK_IO_ERROR", "{device:str *node-name:str operation:<read|write> action:<ignore|report|stop> *nospace:bool reason:str}" },
    { "BLOCK_JOB_CANCELLED", "{type:JobType device:str len:int offset:int speed:int}" },
    { "BLOCK_JOB_COMPLETED", "{type:JobType device:str len:int offset:int speed:int *error:str}" },
    { "BLOCK_JOB_ERROR", "{device:str operation:<read|write> action:<ignore|report|stop>}" },
    { "BLOCK_JOB_PENDING", "{type:JobType id:str}" },
    { "BLOCK_JOB_READY", "{type:JobType device:str len:int offset:int speed:int}" },
    { "BLOCK_WRITE_THRESHOLD", "{node-name:str amount-exceeded:int write-threshold:int}" },
    { "JOB_STATUS_CHANGE", "{id:str status:JobStatus}" },
    { "DEVICE_DELETED", "{*device:str path:str}" },
    { "DEVICE_TRAY_MOVED", "{device:str id:str tray-open:bool}" },
    { "DEVICE_UNPLUG_GUEST_ERROR", "{*device:str path:str}" },
    { "ACPI_DEVICE_OST", "{info:{*device:str slot:str slot-type:<DIMM|CPU> source:int status:int}}" },
    { "GUEST_PANICKED", "{action:<pause|poweroff|run> *info:any}" },
    { "GUEST_CRASHLOADED", "{action:<pause|poweroff|run> *info:any}" },
    { "MIGRATION", "{status:MigrationStatus}" },
    { "MIGRATION_PASS", "{pass:int}" },
    { "NETDEV_STREAM_CONNECTED", "{netdev-id:str addr:SocketAddress}" },
    { "NETDEV_STREAM_DISCONNECTED", "{netdev-id:str}" },
    { "NIC_RX_FILTER_CHANGED", "{*name:str path:str}" },
    { "POWERDOWN" },
    { "RESET", "{guest:bool reason:ShutdownCause}" },
    { "RESUME" },
    { "RTC_CHANGE", "{offset:int qom-path:str}" },
    { "SHUTDOWN", "{guest:bool reason:ShutdownCause}" },
    { "STOP" },
    { "SUSPEND" },
    { "SUSPEND_DISK" },
    { "WAKEUP" },
    { "WATCHDOG", "{action:WatchdogAction}" },
    { 0 },
};
