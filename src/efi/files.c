/* Files through the firmware; see files.h. No state. */
#include "efi/files.h"
#include "base/bits.h"
#include "base/mem.h"

#define PATH_CHARS 600u
#define READ_CHUNK (4 * MIB) /* firmware drivers differ in how much they take at once */
#define FILE_MAX   (2 * GIB)

static int open_path(EFI_HANDLE volume, const char *path, uint64_t mode, EFI_FILE_HANDLE *ret_file)
{
	EFI_GUID guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
	EFI_FILE_IO_INTERFACE *fs;
	EFI_FILE_HANDLE root;
	CHAR16 name[PATH_CHARS];
	EFI_STATUS status;

	status = efi_bs->HandleProtocol(volume, &guid, (void **)&fs);
	if (!EFI_ERROR(status))
		status = fs->OpenVolume(fs, &root);
	if (EFI_ERROR(status))
		return uefi_error(status);
	uefi_widen_path(name, PATH_CHARS, path);
	status = root->Open(root, ret_file, name, mode, 0);
	root->Close(root);
	return uefi_error(status);
}

static int file_size(EFI_FILE_HANDLE f, uint64_t *ret_size)
{
	EFI_STATUS status = f->SetPosition(f, ~0ull);

	if (!EFI_ERROR(status))
		status = f->GetPosition(f, ret_size);
	if (!EFI_ERROR(status))
		status = f->SetPosition(f, 0);
	return uefi_error(status);
}

static int read_all(EFI_FILE_HANDLE f, uint8_t *to, uint64_t size)
{
	while (size) {
		UINTN part = min_u64(size, READ_CHUNK);
		EFI_STATUS status = f->Read(f, &part, to);

		if (EFI_ERROR(status))
			return uefi_error(status);
		if (!part || part > size)
			return -E_TRUNCATED;
		to += part;
		size -= part;
	}
	return 0;
}

int file_read(EFI_HANDLE volume, const char *path, struct file *ret_file)
{
	struct file file = {0};
	EFI_FILE_HANDLE f;
	int err = open_path(volume, path, EFI_FILE_MODE_READ, &f);

	if (err)
		return err;
	err = file_size(f, &file.size);
	if (!err && file.size > FILE_MAX)
		err = -E_RANGE;
	if (err)
		goto err_close;
	/* One byte more, which stays zero: the text of a configuration ends there. */
	file.data = uefi_pages(file.size / PAGE_SIZE + 1);
	if (!file.data) {
		err = -E_NOMEM;
		goto err_close;
	}
	err = read_all(f, file.data, file.size);
	if (err)
		file_free(&file);
	else
		*ret_file = file;
err_close:
	f->Close(f);
	return err;
}

static int write_all(EFI_FILE_HANDLE f, const uint8_t *data, uint64_t size)
{
	while (size) {
		UINTN part = min_u64(size, READ_CHUNK), wanted = part;
		/* Write doesn't change what it writes; its prototype just doesn't say so. */
		EFI_STATUS status = f->Write(f, &part, (void *)(uintptr_t)data);

		if (EFI_ERROR(status))
			return uefi_error(status);
		if (part != wanted)
			return -E_IO;
		data += part;
		size -= part;
	}
	return 0;
}

int file_write(EFI_HANDLE volume, const char *path, const struct file_piece *pieces, size_t count)
{
	const uint64_t mode = EFI_FILE_MODE_READ | EFI_FILE_MODE_WRITE;
	EFI_FILE_HANDLE f;
	EFI_STATUS status;
	int err = open_path(volume, path, mode, &f);

	/* What an older and longer file had must not stand behind the new one. */
	if (!err)
		f->Delete(f);
	err = open_path(volume, path, mode | EFI_FILE_MODE_CREATE, &f);
	if (err)
		return err;
	for (size_t i = 0; !err && i < count; i++)
		err = write_all(f, pieces[i].data, pieces[i].size);
	status = f->Close(f);
	return err ? err : uefi_error(status);
}

void file_free(struct file *f)
{
	uefi_free_pages(f->data, f->size / PAGE_SIZE + 1);
	*f = (struct file){0};
}

bool file_exists(EFI_HANDLE volume, const char *path)
{
	EFI_FILE_HANDLE f;

	if (open_path(volume, path, EFI_FILE_MODE_READ, &f))
		return false;
	f->Close(f);
	return true;
}
