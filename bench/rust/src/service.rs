//! The service `bench.v1.Echo`.

use bytes::Bytes;
use spanwire::{Context, Sending, Status, Streaming};
use spanwire_bench_load::MAX_BODY_BYTES;

use crate::echo::{Block, Echo};

/// Echoes, sends and counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct EchoService;

impl Echo for EchoService {
    async fn unary(&self, request: Block, _context: &mut Context) -> Result<Block, Status> {
        Ok(request)
    }

    async fn down(
        &self,
        request: Block,
        replies: &mut Sending<Block>,
        _context: &mut Context,
    ) -> Result<(), Status> {
        if request.size_bytes > MAX_BODY_BYTES {
            return Err(Status::invalid_argument(format!("size_bytes is larger than {MAX_BODY_BYTES}")));
        }
        let body = Bytes::from(vec![0; request.size_bytes as usize]);
        for _ in 0..request.count {
            replies.send(Block { body: body.clone(), ..Block::default() }).await?;
        }
        Ok(())
    }

    async fn up(&self, requests: &mut Streaming<Block>, _context: &mut Context) -> Result<Block, Status> {
        let mut counted = Block::default();
        while let Some(block) = requests.next().await? {
            counted.count += 1;
            counted.size_bytes += block.body.len() as u64;
        }
        Ok(counted)
    }

    async fn bidi(
        &self,
        requests: &mut Streaming<Block>,
        replies: &mut Sending<Block>,
        _context: &mut Context,
    ) -> Result<(), Status> {
        while let Some(block) = requests.next().await? {
            replies.send(block).await?;
        }
        Ok(())
    }
}
