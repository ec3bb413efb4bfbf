"""The words of manifests and results, which `job_history` keeps packed in SQLite. They must stay as they are."""

from __future__ import annotations

from mediajobs_dagster.history.packing import Packing

# A real manifest, less what differs from one to the next, after what only some have.
MANIFESTS = Packing(
    b'"errors":[{"code":"INPUT_CORRUPT","message":"","blame":"system","retryable":false,"stage":"ffmpeg"}],"calls":[{'
    b'"service":"","operation":"","tries":[{"startedAt":"","durationMs":,"status":200}],"fetch","probe","prepare","pl'
    b'an","ffmpeg","verify","publish","cancelled","failure","lost","skipped","upload_audio_envelope_v1","upload_edit_'
    b'proxy_v1","create_video_export_v1","samples":[{"t":,"cpuPct":,"rssMb":"instanceType":null,"libx264","-preset","'
    b'veryfast","-crf","-c:a","aac","-b:a","-ac","2","-ar","48000","-movflags","+faststart","-pix_fmt","yuv420p","-fi'
    b'lter_complex","-f","null","-profile:v","high","s16le","[info] Input #0, mov,mp4,m4a,3gp,3g2,mj2, from \'file:so'
    b"urce':\\n[info]   Metadata:\\n[info]     major_brand     : isom\\n[info]     minor_version   : 512\\n[info]    "
    b" compatible_brands: isomiso2avc1mp41\\n[info]     encoder         : Lavf62.12.102\\n[info]   Duration: 00:00:10"
    b".00, start: 0.000000, bitrate: 317 kb/s\\n[info]   Stream #0:0[0x1](und): Video: h264 (High) (avc1 / 0x31637661"
    b"), yuv420p(progressive), 1280x720 [SAR 1:1 DAR 16:9], 174 kb/s, 30 fps, 30 tbr, 15360 tbn (default)\\n[info]   "
    b"  Metadata:\\n[info]       handler_name    : VideoHandler\\n[info]       encoder         : Lavc62.28.102 libx26"
    b"4\\n[info]   Stream #0:1[0x2](und): Audio: aac (LC) (mp4a / 0x6134706D), 48000 Hz, stereo, fltp, 132 kb/s (defa"
    b"ult)\\n[info]     Metadata:\\n[info]       handler_name    : SoundHandler\\n[info] Stream mapping:\\n[info]   S"
    b"tream #0:0 -> #0:0 (h264 (native) -> mjpeg (native))\\n[info] Output #0, image2, to 'file:thumb.jpg':\\n[info] "
    b"  Metadata:\\n[info]     encoder         : Lavf62.12.102\\n[info]   Stream #0:0: Video: mjpeg, yuv420p(pc, prog"
    b"ressive), 640x360 [SAR 1:1 DAR 16:9], q=2-31, 200 kb/s, 30 fps, 30 tbn (default)\\n[info]     Side data:\\n[inf"
    b"o]       CPB properties: bitrate max/min/avg: 0/0/200000 buffer size: 0 vbv_delay: N/A\\n[out#0/image2 @ 0x7f] "
    b"[info] video:11KiB audio:0KiB subtitle:0KiB other streams:0KiB global headers:0KiB muxing overhead: unknown\\n["
    b'info] frame=    1 fps=0.0 q=3.0 Lsize=N/A time=00:00:00.03 bitrate=N/A speed=0.592x elapsed=0:00:00.05","sample'
    b's":[]}],{"fingerprint":"","outputs":[{"children":["channels":2,"channelLayout":"stereo","sampleRate":48000,"lan'
    b'guage":null,"schemaVersion":2,"jobId":"01","jobType":"upload_thumb_v1","attempt":1,"traceId":"","runId":"","sta'
    b'tus":"success","startedAt":"2026-","finishedAt":"2026-","durationMs":,"queueMs":,"inputSummary":{"subjectId":""'
    b',"params":{"atSeconds":0.2},"uploadId":"","role":"source","key":"uploads/","bytes":,"filename":".mp4","mediaInf'
    b'oFrom":"upload"},"stages":[{"name":"check","startedAt":"","durationMs":0,"status":"ok"},{"name":"fetch","starte'
    b'dAt":"2026-","durationMs":0,"status":"ok"},"ffmpegCommands":[{"argv":["ffmpeg","-hide_banner","-loglevel","leve'
    b'l+info","-nostdin","-nostats","-y","-filter_threads","1","-filter_complex_threads","1","-protocol_whitelist","f'
    b'ile","-format_whitelist","mov,matroska,avi,asf,flv,mpegts,mpeg,mxf,ogg,dv,rm,gif,mpegvideo,m4v,h264,hevc,obu,iv'
    b'f,mp3,aac,ac3,eac3,dts,truehd,flac,wav,w64,aiff,caf,amr,au,ape,tta,wv,loas","-max_pixels","67108864","-threads"'
    b',"1","-ss","0.2","-i","file:source","-threads","1","-map","0:0","-frames:v","1","-vf","scale=640:360:flags=lanc'
    b'zos:out_range=full,setsar=1,format=yuv420p","-c:v","mjpeg","-q:v","3","-map_metadata","-1","-f","image2","-upda'
    b'te","1","file:thumb.jpg"],"startedAt":"","durationMs":,"exitCode":0,"status":"ok","cpuSeconds":0.0,"maxRssMb":2'
    b',"speed":0.,"remoteBytes":0,"stderrTail":"[info] ","s3Ops":[{"op":"head","bucket":"local","key":"uploads/","byt'
    b'es":0,"durationMs":0,"status":"ok"},{"op":"get","bucket":"local","key":"uploads/",{"op":"put","bucket":"local",'
    b'"key":"thumbs/uploads/","calls":[],"outputs":[{"key":"thumbs/uploads//thumb.jpg","bytes":,"sha256":"","mediaInf'
    b'o":{"container":"image","durationSeconds":0.0,"bytes":,"bitrateKbps":null,"video":[{"index":0,"codec":"mjpeg","'
    b'profile":null,"pixelFormat":null,"width":640,"height":360,"rotation":0,"sampleAspect":[1,1],"fps":null,"variabl'
    b'eFrameRate":false,"frames":1,"durationSeconds":null,"bitrateKbps":null,"transfer":null,"matrix":null}],"audio":'
    b'[],"attachedPictures":0}}],"figures":{},"errors":[],"metrics":{"rtf":,"mediaSeconds":10.0,"rtfBasis":"input","f'
    b'fmpegMs":,"s3BytesIn":0,"s3BytesOut":,"cpuPctAvg":,"memRssMbMax":,"input":{"durationSeconds":10.0,"videoCodec":'
    b'"h264","audioCodec":"aac","width":1280,"height":720,"fps":30.0,"bitrateKbps":317.58},"host":{"instanceType":nul'
    b'l,"cpuCores":2.0,"memGb":23.,"hostname":""}},"timeLedger":{"queueMs":,"downloadMs":,"probeMs":0,"planMs":0,"pre'
    b'pareMs":0,"serviceMs":0,"ffmpegMs":,"verifyMs":,"uploadMs":,"otherMs":},"versions":{"mediajobs":"0.2.0","ffmpeg'
    b'":"n8.1.2"},"files":{"source":"uploads//source","thumb.jpg":"thumbs/uploads//thumb.jpg"},"notes":[],"truncated"'
    b':{"ffmpegCommands":0,"s3Ops":0,"calls":0,"errors":0}}'
)
"""Packs manifests and results, written as JSON without spaces."""
