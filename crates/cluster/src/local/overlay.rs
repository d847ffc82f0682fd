//! Time dilation: the few lines of the Go runtime that read a clock or sleep,
//! patched through `go build -overlay` so that a program's time runs faster.
//!
//! Nothing in Kubernetes or KEDA is touched or configured differently. Each
//! pattern must occur exactly once in the runtime's source, or the Go version
//! is refused: a patch that half applies would make clocks lie.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::LocalError;
use super::toolchain::Go;

/// One replacement in one file of `$GOROOT/src/runtime`.
struct Patch {
    file: &'static str,
    find: &'static str,
    replace: &'static str,
}

/// Where `time.now` is assembly, it gets another name and is called from Go.
const TIME_NOW_AMD64: [Patch; 2] = [
    Patch {
        file: "time_linux_amd64.s",
        find: "TEXT time·now<ABIInternal>(SB),NOSPLIT,$16-24",
        replace: "TEXT ·realnow<ABIInternal>(SB),NOSPLIT,$16-24",
    },
    Patch {
        file: "timeasm.go",
        find: "func time_now() (sec int64, nsec int32, mono int64)\n",
        replace: "func time_now() (sec int64, nsec int32, mono int64) {
	sec, nsec, mono = realnow()
	if dilationSpeed > 1 {
		wall := dilationEpoch + (sec*1000000000+int64(nsec)-dilationEpoch)*dilationSpeed
		sec, nsec = wall/1000000000, int32(wall%1000000000)
		mono = dilationBase + (mono-dilationBase)*dilationSpeed
	}
	return
}

func realnow() (sec int64, nsec int32, mono int64)
",
    },
];

/// Elsewhere it is Go already; `nanotime` is dilated by a patch of its own.
const TIME_NOW_OTHER: [Patch; 1] = [Patch {
    file: "timestub.go",
    find: "	sec, nsec = walltime()
	return sec, nsec, nanotime()
",
    replace: "	sec, nsec = walltime()
	if dilationSpeed > 1 {
		wall := dilationEpoch + (sec*1000000000+int64(nsec)-dilationEpoch)*dilationSpeed
		sec, nsec = wall/1000000000, int32(wall%1000000000)
	}
	return sec, nsec, nanotime()
",
}];

/// The monotonic clock, the variables, and the two places where Linux waits.
const CLOCK_AND_SLEEP: [Patch; 5] = [
    Patch {
        file: "time_nofake.go",
        find: "	return nanotime1()\n",
        replace: "	mono := nanotime1()
	if dilationSpeed > 1 {
		mono = dilationBase + (mono-dilationBase)*dilationSpeed
	}
	return mono
",
    },
    Patch {
        file: "time_nofake.go",
        find: "var faketime int64\n",
        replace: "var faketime int64

// Time dilation: this program's clocks run dilationSpeed times faster than the
// machine's, its wall clock from dilationEpoch on (nanoseconds since 1970), its
// monotonic clock from dilationBase on. A speed of 0 or 1 changes nothing.
var dilationSpeed, dilationEpoch, dilationBase int64
",
    },
    Patch {
        file: "os_linux.go",
        find: "func goenvs() {\n	goenvs_unix()\n}\n",
        replace: "func goenvs() {
	goenvs_unix()
	speed, speedErr := strconv.Atoi(gogetenv(\"POOLPROOF_SPEED\"))
	epoch, epochErr := strconv.Atoi(gogetenv(\"POOLPROOF_EPOCH\"))
	if speedErr == nil && epochErr == nil && speed > 1 {
		dilationBase = nanotime1()
		dilationEpoch = int64(epoch)
		dilationSpeed = int64(speed)
	}
}
",
    },
    Patch {
        file: "os_linux.go",
        find: "	ts.setNsec(ns)
	futex(unsafe.Pointer(addr), _FUTEX_WAIT_PRIVATE, val, &ts, nil, 0)
",
        replace: "	if dilationSpeed > 1 {
		ns = max(ns/dilationSpeed, 1)
	}
	ts.setNsec(ns)
	futex(unsafe.Pointer(addr), _FUTEX_WAIT_PRIVATE, val, &ts, nil, 0)
",
    },
    Patch {
        file: "netpoll_epoll.go",
        find: "	var waitms int32
	if delay < 0 {
",
        replace: "	if delay > 0 && dilationSpeed > 1 {
		delay = max(delay/dilationSpeed, 1)
	}
	var waitms int32
	if delay < 0 {
",
    },
];

/// The patched files of one Go version.
#[derive(Debug)]
pub(super) struct Overlay {
    files: BTreeMap<&'static str, String>,
    runtime: PathBuf,
}

impl Overlay {
    /// Patches the runtime of `go`.
    ///
    /// # Errors
    /// [`LocalError::RuntimeDiffers`] if a pattern is not there exactly once.
    pub(super) fn of(go: &Go) -> Result<Self, LocalError> {
        let differs = |because: String| LocalError::RuntimeDiffers { version: go.version.clone(), because };
        let time_now: &[Patch] = match go.platform.as_str() {
            "linux/amd64" => &TIME_NOW_AMD64,
            "linux/arm64" => &TIME_NOW_OTHER,
            other => return Err(differs(format!("it is not known how {other} sleeps"))),
        };
        let runtime = go.root.join("src").join("runtime");
        let files = patch(time_now.iter().chain(&CLOCK_AND_SLEEP), |file| {
            fs::read_to_string(runtime.join(file)).map_err(|error| format!("{file} cannot be read: {error}"))
        })
        .map_err(differs)?;
        Ok(Self { files, runtime })
    }

    /// What tells this overlay from any other, in a few characters.
    #[must_use]
    pub(super) fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        for (name, text) in &self.files {
            hasher.update(name);
            hasher.update(text);
        }
        short_hash(hasher)
    }

    /// Writes the files and the list that `go build -overlay` takes into `folder`; answers the list's path.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub(super) fn write(&self, folder: &Path) -> std::io::Result<PathBuf> {
        fs::create_dir_all(folder)?;
        let mut replace = BTreeMap::new();
        for (name, text) in &self.files {
            let path = folder.join(name);
            fs::write(&path, text)?;
            replace.insert(self.runtime.join(name), path);
        }
        let list = folder.join("overlay.json");
        fs::write(&list, serde_json::json!({ "Replace": replace }).to_string())?;
        Ok(list)
    }
}

/// The first twelve hexadecimal digits of a hash.
pub(super) fn short_hash(hasher: Sha256) -> String {
    hasher.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn patch<'a>(
    patches: impl Iterator<Item = &'a Patch>,
    read: impl Fn(&str) -> Result<String, String>,
) -> Result<BTreeMap<&'static str, String>, String> {
    let mut files: BTreeMap<&'static str, String> = BTreeMap::new();
    for patch in patches {
        let text = match files.get(patch.file) {
            Some(text) => text.clone(),
            None => read(patch.file)?,
        };
        match text.matches(patch.find).count() {
            1 => files.insert(patch.file, text.replace(patch.find, patch.replace)),
            found => {
                let line = patch.find.lines().next().unwrap_or_default().trim();
                return Err(format!("`{line}` is there {found} times in {}, expected once", patch.file));
            }
        };
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Patch = Patch { file: "a.go", find: "return nanotime1()", replace: "return dilated()" };

    #[test]
    fn a_pattern_that_is_there_once_is_replaced() {
        let files = patch([&ONE].into_iter(), |_| Ok("func f() { return nanotime1() }".into()));
        assert_eq!(files.expect("a patch")["a.go"], "func f() { return dilated() }");
    }

    #[test]
    fn the_runtime_reads_the_variables_that_are_set() {
        let reading = CLOCK_AND_SLEEP.iter().find(|patch| patch.replace.contains("gogetenv"));
        let reading = reading.expect("a patch that reads").replace;
        for variable in [clock::dilation::SPEED_VARIABLE, clock::dilation::EPOCH_VARIABLE] {
            assert!(reading.contains(&format!("gogetenv(\"{variable}\")")), "{variable}");
        }
    }

    #[test]
    fn a_runtime_that_differs_is_refused() {
        for text in ["", "return nanotime1(); return nanotime1()"] {
            let error = patch([&ONE].into_iter(), |_| Ok(text.into())).expect_err("a refusal");
            assert!(error.contains("a.go") && error.contains("expected once"), "{error}");
        }
    }
}
